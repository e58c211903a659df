// Elements. Whatever comes from a file goes in as text: nothing here takes HTML.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. `on…` are listeners, `style` a record of CSS properties, `true` and `false`
 * attributes that are there or not, everything else an attribute. Children are nodes or text;
 * what is null or false is left out.
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, to] of Object.entries(value)) node.style.setProperty(key, to);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** A number of bytes, as people say it. */
export function bytes(count) {
  if (count === 1) return '1 byte';
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A whole number with its thousands apart. */
export function number(value) {
  return value.toLocaleString('en');
}

/** `1 finding`, `2 findings`. */
export function counted(count, what) {
  return `${number(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** A piece of text from a file: in its own direction, in the font of code. */
export function code(text, attributes = {}) {
  return el('code', { dir: 'auto', ...attributes }, text);
}

/** Small pictures, by name: each goes with a word. */
const ICONS = {
  allow: ['M4 12.5l5.5 5.5L20 7'],
  block: ['M6 6l12 12', 'M18 6L6 18'],
  none: ['M12 6v8', 'M12 18.4v.1'],
};

export function icon(name) {
  const paths = ICONS[name].map((d) => svg('path', { d }));
  return svg('svg', { viewBox: '0 0 24 24', class: `icon icon-${name}`, 'aria-hidden': 'true' }, paths);
}
