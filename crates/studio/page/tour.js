// The guided tour: ten short stops on the live model. At each a question; you predict, and then the model's own numbers tell.

import { el, put, announce } from './dom.js';
import { go, number } from './state.js';
import { current, lookingAt, pathOf, stepNow, kept, noRun, aboutPieces } from './session.js';
import { remember } from './memory.js';
import { firstStops } from './stops.js';
import { laterStops } from './stops-later.js';

const stops = [...firstStops, ...laterStops];
// What was predicted, by stop: the tour remembers it while the page is open.
const predicted = new Map();

function mount(root) {
  const progress = el(
    'nav.stops',
    { 'aria-label': 'Stops' },
    stops.map((stop, i) =>
      el(
        'button.plain',
        { onclick: () => go({ stop: i }, { remember: true }), title: stop.title, 'data-stop': i },
        i + 1,
      ),
    ),
  );
  remember('toured', 'yes');
  const card = el('section.card.stopcard', { 'aria-live': 'polite' });
  const stage = el('section.card.stopstage');
  put(root, progress, el('div.tourgrid', {}, card, stage));
  let drawn = '';

  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(card, el('p', {}, noRun()));
    const at = Math.max(0, Math.min(stops.length - 1, number('stop', 0)));
    const stop = stops[at];
    for (const button of onlyNews ? [] : progress.children) {
      const i = Number(button.dataset.stop);
      button.setAttribute('aria-pressed', String(i === at));
      button.classList.toggle('done', predicted.has(i));
    }
    const { run } = entry;
    if (stop.wants && stop.wants(run)) {
      drawn = '';
      return put(
        card,
        el('p.soft', {}, `Stop ${at + 1} of ${stops.length}`),
        el('h2', {}, stop.title),
        el('p.plainwords', {}, stop.wants(run)),
      );
    }
    // A stop stays as it is while training goes on, unless step or text are changed by hand.
    const step =
      run.status === 'training' && drawn.startsWith(`${at} ${run.id}`) ? drawn.split(' ')[2] : String(stepNow());
    const key = `${at} ${run.id} ${step} ${JSON.stringify(lookingAt({ step: 0 }))} ${predicted.get(at)}`;
    if (key === drawn) return;
    drawn = key;
    try {
      const tools = {
        run,
        entry,
        step: Number(step),
        look: (want, view = {}) =>
          kept(pathOf('look'), { ...lookingAt({ edits: false, step: Number(step) }), ...view, want }),
        ask: (what, body) => kept(pathOf(what), { ...lookingAt({ edits: false, step: Number(step) }), ...body }),
      };
      const facts = await stop.facts(tools);
      if (drawn !== key) return;
      show(at, stop, facts);
    } catch (error) {
      drawn = '';
      put(stage, el('p.problem', {}, error.message));
    }
  }

  function show(at, stop, facts) {
    const chosen = predicted.get(at);
    const known = chosen !== undefined;
    const choices = facts.choices.map((text, i) => {
      const mark = !known ? '' : i === facts.right ? '.right' : i === chosen ? '.wrong' : '.other';
      return el(
        `button.choice${mark}`,
        {
          disabled: known,
          id: `choice-${i}`,
          onclick: () => {
            predicted.set(at, i);
            load();
          },
        },
        el('span.choicemark', {}, !known ? '○' : i === facts.right ? '✓' : i === chosen ? '✗' : '·'),
        text,
      );
    });
    put(
      card,
      el('p.soft.small', {}, `Stop ${at + 1} of ${stops.length}`),
      el('h2', {}, stop.title),
      el('p.plainwords', {}, facts.words),
      aboutPieces(current().run) ? el('p.soft.small', {}, aboutPieces(current().run)) : null,
      el('p.question', {}, facts.question),
      el('div.choices', { role: 'group', 'aria-label': facts.question }, choices),
      known
        ? el(
            'div.answer',
            { id: 'answer' },
            el('b', {}, chosen === facts.right ? 'As you said. ' : 'Look: '),
            facts.answer,
            ' ',
            el(
              'button.link',
              {
                onclick: () => {
                  predicted.delete(at);
                  load();
                },
              },
              'Ask me again',
            ),
          )
        : el('p.soft.small', {}, 'Predict before you see it.'),
      el(
        'div.row.tourmove',
        {},
        el('button', { disabled: at === 0, onclick: () => go({ stop: at - 1 }, { remember: true }) }, '‹ back'),
        el(
          known ? 'button.primary' : 'button',
          {
            id: 'tour-next',
            disabled: at === stops.length - 1,
            onclick: () => go({ stop: at + 1 }, { remember: true }),
          },
          'next stop ›',
        ),
        stop.view
          ? el(
              'button.plain',
              { onclick: () => go({ view: stop.view, stop: null }, { remember: true }) },
              'look for yourself',
            )
          : null,
      ),
    );
    put(
      stage,
      known || facts.before
        ? facts.show(known)
        : el('div.veil', {}, el('p', {}, 'What the model has to say comes when you have said what you expect.')),
    );
    if (!known) return;
    card.querySelector('#answer').scrollIntoView({ block: 'nearest' });
    announce('The answer is shown.');
  }

  return {
    update({ changed }) {
      load(changed.size === 0);
    },
  };
}

export const view = { name: 'tour', title: 'Tour', mount };
