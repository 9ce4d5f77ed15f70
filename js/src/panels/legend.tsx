// Legends of the head grid. Every scale has its true ticks.

import { gradient, type Ramp } from "../draw/ramps";
import { compact } from "../labels";
import { Off } from "./parts";

/** Both ways from zero in the middle. */
export function diverging(dark: boolean): string {
  return `linear-gradient(270deg, ${gradient("hurt", dark)}) 0 0 / 50% 100% no-repeat,
    linear-gradient(90deg, ${gradient("effect", dark)}) 100% 0 / 50% 100% no-repeat`;
}
/** For scales whose two colours are signs, where everywhere else they tell what an intervention did. */
export const SIGNS_ONLY = "orange +, purple −: signs, no intervention";
export const rising = (ramp: Ramp, dark: boolean): string => `linear-gradient(90deg, ${gradient(ramp, dark)})`;

export function Strip({ paint, ticks, width }: { paint: string; ticks: string[]; width: number }) {
  return (
    <span class="aw-keyramp" style={{ width: `${width}px` }}>
      <i style={{ background: paint }} />
      <span>
        {ticks.map((tick, i) => (
          <span key={i}>{tick}</span>
        ))}
      </span>
    </span>
  );
}

export function AttentionLegend({ dark }: { dark: boolean }) {
  return (
    <span>
      <Strip paint={rising("attention", dark)} ticks={["0", "0.25", "1.0"]} width={80} />
      attention, √ scale
    </span>
  );
}

export function ScoreLegend(props: {
  label: string;
  unit: string;
  max: number;
  signed: boolean;
  effect: boolean;
  dark: boolean;
}) {
  const { max, dark, effect } = props;
  const unit = props.unit && `, ${props.unit}`;
  const most = compact(max);
  if (props.signed && effect) {
    return (
      <span>
        <Strip paint={diverging(dark)} ticks={[`−${most}`, "0", `+${most}`]} width={110} />
        {props.label}
        {unit}, √ scale
      </span>
    );
  }
  const middle = compact(effect ? max / 4 : max / 2);
  return (
    <span>
      <Strip paint={rising(effect ? "effect" : "probability", dark)} ticks={["0", middle, most]} width={100} />
      {props.label}
      {unit}
      {effect && ", √ scale"}
    </span>
  );
}

export function BarLegend(props: { label: string; unit: string; max: number; effect: boolean; signed: boolean }) {
  const both = props.effect && props.signed;
  return (
    <span title={both ? "Negative bars start at the right" : undefined}>
      <i class={both ? "aw-key-bar aw-signed" : props.effect ? "aw-key-bar aw-effect" : "aw-key-bar"} />
      bar: {props.label}, {props.effect ? "√ to" : "0 to"} {both && "±"}
      {compact(props.max)}
      {props.unit && ` ${props.unit}`}
    </span>
  );
}

/** `bars`: an approximate score is a thin bar, not a small square. */
export function MarkLegend({
  approximate,
  bars,
  ablation,
}: {
  approximate: boolean;
  bars: boolean;
  ablation: boolean;
}) {
  return (
    <>
      <span>
        <i class="aw-key-selected" />
        selected
      </span>
      {ablation && (
        <span>
          <Off text="" />
          ablated
        </span>
      )}
      <span class="aw-t3">layers →, heads ↓</span>
      {approximate && (
        <span>
          <i class={`${bars ? "aw-key-thin" : "aw-key-approximate"} aw-effect`} />
          approximate
        </span>
      )}
    </>
  );
}
