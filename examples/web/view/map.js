// An archive as a bar: what lies where in the file, and a table of the members.

import { bytes, counted, el, number } from '../dom.js';
import { List } from './list.js';

const KINDS = {
  pickle: 'Pickles',
  code: 'Code',
  storage: 'Tensor data',
  mark: 'Marks',
  other: 'Other members',
  directory: 'Directory',
  outside: 'Outside the archive',
};

/** How many pieces the bar is drawn in. All neighbours of one kind are drawn as one beyond. */
const PIECES = 600;

export function map(archive) {
  if (archive === null) {
    return el('p', { class: 'empty' }, 'The file is no ZIP archive, so it has no members.');
  }
  const pieces = regions(archive);
  const folder = common(archive.members);
  const list = new List({
    label: 'Members of the archive',
    columns: ['Byte', folder > 0 ? `Name in ${archive.members[0].name.slice(0, folder)}` : 'Name', 'Kind', 'Size', 'Method'],
    count: archive.members.length,
    height: 36,
    rows: (first, count) => archive.members.slice(first, first + count),
    kind: (member) => `kind-${shownKind(member.role)}`,
    cells: (member) => [
      number(member.header_offset),
      el('span', { class: 'member', title: member.name }, el('bdi', {}, member.name.slice(folder))),
      el('span', {}, el('span', { class: `dot ${shownKind(member.role)}` }), el('span', { class: 'kind' }, member.role)),
      el('span', { title: `${number(member.size_bytes)} bytes` }, bytes(member.size_bytes)),
      member.method,
    ],
  });
  list.node.classList.add('members');
  list.node.style.setProperty('--rows', String(Math.min(12, archive.members.length)));
  const bar = el(
    'div',
    { class: 'bar', role: 'img', 'aria-label': described(pieces, archive.size_bytes) },
    joined(pieces, archive.size_bytes).map((piece) =>
      el('div', {
        class: `piece ${piece.kind}`,
        title: `${piece.name}, byte ${number(piece.start)} to ${number(piece.end)}`,
        style: {
          left: `${(100 * piece.start) / archive.size_bytes}%`,
          width: `${(100 * (piece.end - piece.start)) / archive.size_bytes}%`,
        },
        onclick: () => piece.index !== undefined && list.show(piece.index),
      }),
    ),
  );
  return el(
    'div',
    { class: 'map' },
    bar,
    el('p', { class: 'ends quiet', 'aria-hidden': 'true' }, el('span', {}, 'byte 0'), el('span', {}, `byte ${number(archive.size_bytes)}`)),
    legend(pieces),
    list.node,
    archive.omitted > 0 && el('p', { class: 'quiet' }, `${counted(archive.omitted, 'member')} more than are shown.`),
  );
}

/** The length of the folder that all members lie in. */
function common(members) {
  const folder = members[0]?.name.match(/^[^/]*\//)?.[0] ?? '';
  return members.every(({ name }) => name.startsWith(folder)) ? folder.length : 0;
}

const shownKind = (role) => (role === 'folder' ? 'other' : role);

/** Every piece of the file that somebody claims, in order. */
function regions(archive) {
  const pieces = archive.members.map((member, index) => {
    const start = member.header_offset;
    const end = (member.data_offset ?? start + 30) + member.packed_bytes;
    return { kind: shownKind(member.role), name: member.name, start, end: Math.min(end, archive.size_bytes), index };
  });
  const add = (kind, name, start, length) => {
    if (length > 0) pieces.push({ kind, name, start, end: start + length });
  };
  const directory = archive.directory_bytes + archive.end_bytes;
  const end = archive.directory_offset + directory;
  add('outside', 'Bytes before the archive', 0, archive.prefix_bytes);
  add('directory', 'Directory', archive.directory_offset, directory);
  add('outside', 'Bytes behind the archive', end, archive.size_bytes - end);
  return pieces.sort((left, right) => left.start - right.start);
}

/** Small neighbours of one kind as one piece: nobody could tell them apart. */
function joined(pieces, size) {
  const small = Math.max(size / 250, pieces.length > PIECES ? size : 0);
  const out = [];
  for (const piece of pieces) {
    const last = out.at(-1);
    const both = last?.kind === piece.kind && last.last < small && piece.end - piece.start < small;
    if (both) {
      last.end = Math.max(last.end, piece.end);
      last.last = piece.end - piece.start;
      last.name = KINDS[piece.kind];
    } else {
      out.push({ ...piece, last: piece.end - piece.start });
    }
  }
  return out.slice(0, 4 * PIECES);
}

function totals(pieces) {
  const sums = new Map();
  for (const { kind, start, end } of pieces) {
    const sum = sums.get(kind) ?? { count: 0, size: 0 };
    sums.set(kind, { count: sum.count + 1, size: sum.size + Math.max(0, end - start) });
  }
  return Object.keys(KINDS).filter((kind) => sums.has(kind)).map((kind) => ({ kind, ...sums.get(kind) }));
}

function legend(pieces) {
  const items = totals(pieces).map(({ kind, count, size }) =>
    el(
      'li',
      {},
      el('span', { class: `dot ${kind}` }),
      KINDS[kind],
      el('span', { class: 'quiet' }, kind === 'directory' || kind === 'outside' ? bytes(size) : `${number(count)} · ${bytes(size)}`),
    ),
  );
  return el('ul', { class: 'legend' }, items);
}

function described(pieces, size) {
  const parts = totals(pieces).map(({ kind, size: sum }) => `${KINDS[kind]} ${bytes(sum)}`);
  return `The file of ${bytes(size)}: ${parts.join(', ')}`;
}
