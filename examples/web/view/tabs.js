// Tabs, as the ARIA practices describe them: arrows move between them, Tab goes into the panel.

import { el, number } from '../dom.js';

/** `opened` is called when a tab is first looked into. */
export function tabs(items) {
  const seen = new Set();
  let current = items[0].id;
  let before = current;
  const buttons = items.map(({ id, title, count }) =>
    el(
      'button',
      { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': `panel-${id}`, onclick: () => open(id) },
      title,
      count === undefined ? null : el('span', { class: 'count' }, number(count)),
    ),
  );
  const panels = items.map(({ id, body }) =>
    el('div', { role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}`, class: 'panel' }, body),
  );

  function open(id) {
    if (id !== current) before = current;
    current = id;
    items.forEach((item, index) => {
      const here = item.id === id;
      buttons[index].setAttribute('aria-selected', String(here));
      buttons[index].tabIndex = here ? 0 : -1;
      panels[index].hidden = !here;
      if (here && !seen.has(id)) {
        seen.add(id);
        item.opened?.();
      }
    });
  }

  const list = el('div', { role: 'tablist', class: 'tabs', 'aria-label': 'What was seen' }, buttons);
  list.addEventListener('keydown', (event) => {
    const at = items.findIndex(({ id }) => id === current);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + items.length) % items.length;
    open(items[next].id);
    buttons[next].focus();
  });
  open(current);
  return { node: el('div', {}, list, panels), open, back: () => open(before) };
}
