// The opcodes of a pickle, a page at a time, with what the audit says about each.

import { code, counted, el, number } from '../dom.js';
import { List } from './list.js';

/** Rows are asked for in blocks of so many, of which so many are kept. */
const BLOCK = 512;
const KEPT = 32;

export class Trace {
  #file;
  #meanings;
  #pickles = [];
  #lists = new Map();
  #chosen = 0;
  #stage = el('div', { class: 'stage' });
  #detail = el('div', { class: 'detail', 'aria-live': 'polite' });
  #found = el('p', { class: 'quiet', role: 'status' });

  constructor(file, opcodes) {
    this.#file = file;
    this.#meanings = new Map(opcodes.map((row) => [row.name, row.meaning]));
    this.node = el('div', { class: 'trace' });
  }

  async load() {
    this.#pickles = await this.#file.pickles();
    if (this.#pickles.length === 0) {
      this.node.replaceChildren(el('p', { class: 'empty' }, 'The file holds no pickle.'));
      return;
    }
    this.select = el(
      'select',
      { id: 'pickle', onchange: () => this.#open(Number(this.select.value)) },
      this.#pickles.map((pickle, index) =>
        el('option', { value: index }, `${pickle.path || 'the file itself'}, byte ${number(pickle.offset)} (${counted(pickle.rows, 'opcode')})`),
      ),
    );
    this.search = el('input', { id: 'search', type: 'search', placeholder: 'posix, REDUCE, …', autocomplete: 'off', spellcheck: 'false' });
    const form = el(
      'form',
      {
        class: 'tools',
        role: 'search',
        onsubmit: (event) => {
          event.preventDefault();
          this.#find();
        },
      },
      el('label', {}, el('span', {}, 'Pickle'), this.select),
      el('label', {}, el('span', {}, 'Find'), this.search),
      el('button', { type: 'submit' }, 'Next'),
    );
    this.node.replaceChildren(form, this.#found, this.#stage, this.#detail);
    this.#open(0);
  }

  /** Whether a place lies in one of the pickles. */
  #holding(path, offset) {
    return this.#pickles.findIndex((pickle) => pickle.path === path && pickle.offset <= offset && offset < pickle.ended.offset);
  }

  /** Shows the instruction at a place; false where none stands there. */
  async jump(path, offset) {
    const pickle = this.#holding(path, offset);
    if (pickle < 0) return false;
    const row = await this.#file.rowAt(pickle, offset);
    if (row === null) return false;
    this.select.value = String(pickle);
    const list = this.#open(pickle);
    await list.show(row);
    list.focus();
    return true;
  }

  #open(index) {
    this.#chosen = index;
    const list = this.#lists.get(index) ?? this.#list(index);
    this.#lists.set(index, list);
    this.#detail.replaceChildren();
    this.#found.replaceChildren();
    const pickle = this.#pickles[index];
    this.#stage.replaceChildren(pickle.kept ? list.node : el('p', { class: 'empty' }, 'The pickle is too large to be listed here.'));
    if (pickle.ended.end !== 'stop') {
      const notes = pickle.ended.notes.map((note) => el('li', {}, said(note)));
      const text = `The listing ends at byte ${number(pickle.ended.offset)}: ${ENDS[pickle.ended.end]}.`;
      this.#stage.append(el('p', { class: 'quiet' }, text), el('ul', { class: 'notes' }, notes));
    }
    return list;
  }

  #list(index) {
    const blocks = new Map();
    const block = (number) => {
      let rows = blocks.get(number);
      if (rows === undefined) {
        rows = this.#file.rows(index, number * BLOCK, BLOCK);
        if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value);
        blocks.set(number, rows);
      }
      return rows;
    };
    const rows = async (first, count) => {
      const from = Math.floor(first / BLOCK);
      const to = Math.floor((first + Math.max(0, count - 1)) / BLOCK);
      const all = await Promise.all(Array.from({ length: to - from + 1 }, (_, step) => block(from + step)));
      return all.flat().slice(first - from * BLOCK, first - from * BLOCK + count);
    };
    const list = new List({
      label: `Opcodes of ${this.#pickles[index].path || 'the file'}`,
      columns: ['Byte', 'Opcode', 'Argument', 'Stack behind it'],
      count: this.#pickles[index].rows,
      height: 32,
      rows,
      kind: (row) => severity(row.notes),
      cells: (row) => [
        number(row.offset),
        row.opcode,
        el('bdi', { title: row.argument }, row.argument),
        el('bdi', {}, row.top.join('  ')),
      ],
      chosen: (row) => this.#show(row),
    });
    list.node.classList.add('opcodes');
    list.node.style.setProperty('--rows', String(Math.min(16, this.#pickles[index].rows)));
    return list;
  }

  #show(row) {
    const meaning = this.#meanings.get(row.opcode);
    this.#detail.replaceChildren(
      el('p', {}, code(row.opcode), ` at byte ${number(row.offset)}`, meaning ? `: ${meaning}` : ''),
      ...(row.argument === '' ? [] : [el('p', {}, 'Argument ', code(row.argument))]),
      el('p', {}, `Stack: ${counted(row.depth, 'object')}`, row.marks > 0 ? `, ${counted(row.marks, 'mark')}` : '', row.top.length > 0 ? ', on top ' : '', row.top.length > 0 ? code(row.top.join('  ')) : ''),
      el('ul', { class: 'notes' }, row.notes.map((note) => el('li', { class: severity([note]) }, said(note)))),
    );
  }

  async #find() {
    const text = this.search.value;
    if (text === '') return;
    const list = this.#lists.get(this.#chosen);
    const from = list.selected === null ? 0 : list.selected + 1;
    this.#found.replaceChildren('Looking …');
    let row = await this.#file.find(this.#chosen, text, from);
    const again = row === null && from > 0;
    if (again) row = await this.#file.find(this.#chosen, text, 0);
    this.#found.replaceChildren(row === null ? 'Nothing shows that text.' : again ? 'From the start again.' : '');
    if (row !== null) await list.show(row);
  }
}

const ENDS = {
  malformed: 'no instruction can start there',
  truncated: 'the input ends',
  limit: 'a limit ends the reading',
};

function severity(notes) {
  const bad = notes.some((note) => (note.note === 'finding' && note.points >= 40) || note.class === 'dangerous');
  if (bad) return 'bad';
  const odd = notes.some((note) => note.note === 'finding' || note.class === 'unknown');
  return odd ? 'odd' : notes.length > 0 ? 'noted' : '';
}

/** A note as a sentence. */
function said(note) {
  switch (note.note) {
    case 'import':
      return [
        'imports ', code(note.python3), ': ',
        el('span', { class: `class ${note.class}` }, note.class),
        note.family ? ` (${note.family})` : '',
      ];
    case 'call':
      return ['acts on ', code(note.global)];
    case 'nested':
      return `the ${counted(note.length, 'byte')} at ${number(note.offset)} may be a pickle`;
    default:
      return [code(note.rule, { class: 'rule' }), ` +${note.points}: `, el('bdi', {}, note.message)];
  }
}
