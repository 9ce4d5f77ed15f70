// The curve as a table: every size with its set, which can be pressed.

import { bare, compact, headName, percent, signed } from "../labels";
import type { Study, StudySet } from "../source/ops";
import type { Store } from "../store";
import { HeadChip } from "./headchip";

export function StudyTable({ store, said, height }: { store: Store; said: Study; height: number }) {
  const { target, before, sizes, tried } = said;
  const random = new Map(said.random.map((one) => [one.size, one]));
  const runs = new Map(tried.map((one) => [one.size, one]));
  const write = target ? signed : compact;
  const row = (set: StudySet) => {
    const size = set.heads.length;
    const [band, run] = [random.get(size), runs.get(size)];
    return (
      <tr key={size}>
        <th scope="row">{size}</th>
        <td>
          {set.heads.map((head) => (
            <HeadChip key={headName(head)} store={store} head={head} />
          ))}
        </td>
        {target && <td>{signed(set.margin)}</td>}
        <td>{compact(set.kl)}</td>
        {target && <td>{percent(set.target_probability)}</td>}
        <td>
          {bare(set.first.token)} {percent(set.first.probability)}
        </td>
        <td>{band ? `${write(band.median)} (${write(band.low)} to ${write(band.high)})` : ""}</td>
        <td>
          {run ? `${run.sets.toLocaleString("en")} of ${run.of.toLocaleString("en")}` : ""}
          {run?.undefined ? `, ${run.undefined.toLocaleString("en")} undefined` : ""}
        </td>
      </tr>
    );
  };
  const names = [
    "heads",
    "best set run",
    target && "margin",
    "KL, nats",
    target && bare(target.token),
    "first choice",
    `random, ${target ? "margin" : "KL"}`,
    "sets run",
  ];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
    <section class="aw-table-box" tabIndex={0} aria-label="Sets by size, as table" style={{ height: `${height}px` }}>
      <table class="aw-tab">
        <thead>
          <tr>
            {names.filter(Boolean).map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{[before, ...sizes].map(row)}</tbody>
      </table>
    </section>
  );
}
