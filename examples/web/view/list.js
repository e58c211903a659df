// A table of which only the rows in sight exist, however many there are.

import { el } from '../dom.js';

/** No browser lays out an element much higher than this, in pixels. */
const HIGHEST = 8_000_000;

const AHEAD = 8;

export class List {
  #count;
  #height;
  #row;
  #rows;
  #space;
  #scroll;
  #selected = null;
  #asked = 0;

  /**
   * @param {object} options
   * @param {string} options.label what the table shows
   * @param {string[]} options.columns the columns' names
   * @param {number} options.count how many rows there are
   * @param {number} options.height a row's height in pixels
   * @param {(first: number, count: number) => Promise<any[]> | any[]} options.rows
   * @param {(item: any, index: number) => Node[]} options.cells
   * @param {(item: any, index: number) => void} [options.chosen]
   * @param {(item: any) => string} [options.kind] a class for the row
   */
  constructor({ label, columns, count, height, rows, cells, chosen, kind }) {
    this.#count = count;
    this.#height = height;
    this.#rows = rows;
    this.#row = (item, index) =>
      el(
        'div',
        {
          class: `row ${kind?.(item) ?? ''}`,
          role: 'row',
          'aria-rowindex': index + 2,
          'aria-selected': String(index === this.#selected),
          style: { height: `${height}px` },
          onclick: () => this.#choose(index),
        },
        cells(item, index).map((cell) => el('div', { role: 'cell', class: 'cell' }, cell)),
      );
    this.chosen = chosen;
    this.#space = el('div', { class: 'space', role: 'rowgroup' });
    const head = el(
      'div',
      { class: 'row head', role: 'row', 'aria-rowindex': 1 },
      columns.map((name) => el('div', { role: 'columnheader', class: 'cell' }, name)),
    );
    this.#scroll = el(
      'div',
      { class: 'scroll', tabindex: 0, role: 'presentation', onscroll: () => this.#draw(), onkeydown: (event) => this.#key(event) },
      this.#space,
    );
    this.node = el(
      'div',
      { class: 'list', role: 'grid', 'aria-label': label, 'aria-rowcount': count + 1 },
      el('div', { role: 'rowgroup', class: 'headgroup' }, head),
      this.#scroll,
    );
    this.#space.style.height = `${this.#full}px`;
    new ResizeObserver(() => this.#draw()).observe(this.#scroll);
  }

  get #full() {
    return Math.min(this.#count * this.#height, HIGHEST);
  }

  /** The row at the top of what is in sight: exact, or in proportion where all do not fit. */
  get #first() {
    const { scrollTop, clientHeight } = this.#scroll;
    if (this.#count * this.#height <= HIGHEST) return scrollTop / this.#height;
    const most = Math.max(1, this.#full - clientHeight);
    return (scrollTop / most) * Math.max(0, this.#count - clientHeight / this.#height);
  }

  async #draw() {
    const { scrollTop, clientHeight } = this.#scroll;
    if (clientHeight === 0) return;
    const first = Math.max(0, Math.floor(this.#first) - AHEAD);
    const count = Math.min(this.#count - first, Math.ceil(clientHeight / this.#height) + 2 * AHEAD);
    const asked = ++this.#asked;
    const items = await this.#rows(first, count);
    if (asked !== this.#asked) return;
    const top = scrollTop + (first - this.#first) * this.#height;
    const rows = items.map((item, index) => {
      const row = this.#row(item, first + index);
      row.style.transform = `translateY(${top + index * this.#height}px)`;
      return row;
    });
    this.#space.replaceChildren(...rows);
  }

  async #choose(index) {
    this.#selected = index;
    for (const row of this.#space.children) {
      row.setAttribute('aria-selected', String(row.getAttribute('aria-rowindex') === String(index + 2)));
    }
    const [item] = await this.#rows(index, 1);
    if (item !== undefined) this.chosen?.(item, index);
  }

  /** Takes the keyboard. */
  focus() {
    this.#scroll.focus({ preventScroll: true });
  }

  /** Which row is chosen; null where none is. */
  get selected() {
    return this.#selected;
  }

  /** Chooses a row, and brings it into sight. */
  async show(index) {
    const { clientHeight } = this.#scroll;
    const visible = clientHeight / this.#height;
    const from = this.#first;
    if (index < from || index > from + visible - 1) {
      const wanted = Math.max(0, index - Math.floor(visible / 2));
      const fits = this.#count * this.#height <= HIGHEST;
      this.#scroll.scrollTop = fits
        ? wanted * this.#height
        : (wanted / Math.max(1, this.#count - visible)) * (this.#full - clientHeight);
    }
    await this.#choose(index);
    await this.#draw();
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const from = this.#selected ?? Math.ceil(this.#first) - Math.sign(step);
    this.show(Math.min(this.#count - 1, Math.max(0, from + step)));
  }
}
