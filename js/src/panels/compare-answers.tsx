// What the two prompts are answered with, and how far apart that is.

import { answerWords } from "../comparewords";
import { compact, percent, signed, visible } from "../labels";
import type { Comparison } from "../source/ops";

const ROWS = 5;

export function CompareAnswers({ said }: { said: Comparison }) {
  const { answers } = said;
  if (!answers) return <p class="aw-two-line">{answerWords(said)}</p>;
  const { kl, js, logit_diff, target, against } = answers;
  const top = answers.rows.slice(0, ROWS);
  return (
    <div class="aw-two-answers">
      <div>
        <div class="aw-s" role="status">
          <b>{answerWords(said)}</b>
        </div>
        <table class="aw-tab">
          <thead>
            <tr>
              <td />
              <th scope="col">KL(A ‖ B)</th>
              <th scope="col">KL(B ‖ A)</th>
              <th scope="col">JS</th>
              {logit_diff && (
                <th scope="col" title={`logit(${target}) − logit(${against})`}>
                  A: logit {visible(target ?? "")} − {visible(against ?? "")}
                </th>
              )}
              {logit_diff && <th scope="col">B</th>}
              {logit_diff && <th scope="col">B − A</th>}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">answers</th>
              <td>{compact(kl.ab)} nats</td>
              <td>{compact(kl.ba)} nats</td>
              <td>{compact(js)} nats</td>
              {logit_diff && <td>{signed(logit_diff.a)}</td>}
              {logit_diff && <td>{signed(logit_diff.b)}</td>}
              {logit_diff && <td>{signed(logit_diff.b - logit_diff.a)}</td>}
            </tr>
          </tbody>
        </table>
      </div>
      <table class="aw-tab" aria-label="The most probable answers of either">
        <thead>
          <tr>
            <td />
            <th scope="col">A</th>
            <th scope="col">rank</th>
            <th scope="col">B</th>
            <th scope="col">rank</th>
          </tr>
        </thead>
        <tbody>
          {top.map(({ id, token, a, b }) => (
            <tr key={id}>
              <th scope="row" class="aw-mono">
                {visible(token)}
              </th>
              <td data-first={a.rank === 1}>{percent(a.probability)}</td>
              <td class="aw-t3">{a.rank.toLocaleString("en")}</td>
              <td data-first={b.rank === 1}>{percent(b.probability)}</td>
              <td class="aw-t3">{b.rank.toLocaleString("en")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
