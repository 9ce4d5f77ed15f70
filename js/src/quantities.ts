// How the quantities of the attention section are named: on the switch, in a sentence, as a title.

import type { Quantity } from "./attending";

export interface Named {
  value: Quantity;
  text: string; // on the switch
  title: string;
  of: string; // "… of L9H3"
  /** Between two tokens. */
  verb: string;
  /** "Most attended by Mary", "Largest for Mary" */
  most: string;
}

export const QUANTITIES: readonly Named[] = [
  {
    value: "raw",
    text: "raw",
    title: "attention of the present run",
    of: "Attention",
    verb: "looks at",
    most: "Most attended by",
  },
  {
    value: "change",
    text: "change",
    title: "ablated − clean",
    of: "Change of the attention",
    verb: "looks at, changed,",
    most: "Most changed for",
  },
  {
    value: "v_norm",
    text: "A·‖v‖",
    title: "attention × length of the key's value vector",
    of: "Attention × ‖v‖",
    verb: "takes from",
    most: "Most taken by",
  },
  {
    value: "vo_norm",
    text: "A·‖v W_O‖",
    title: "attention × length of what is written into the stream (Kobayashi et al. 2020)",
    of: "Attention × ‖v W_O‖",
    verb: "takes from",
    most: "Most taken by",
  },
  {
    value: "signed",
    text: "signed",
    title: "what each key adds, through this head, to the logit difference: orange for the target, purple against",
    of: "Signed contribution",
    verb: "takes from",
    most: "Largest for",
  },
  {
    value: "z_cosine",
    text: "cos z",
    title: "cosine between the head's outputs z at two tokens, −1 to 1. It is symmetric, and no attention",
    of: "Cosine of z",
    verb: "and",
    most: "Most alike or opposed to",
  },
];

export const named = (kind: Quantity): Named => QUANTITIES.find(({ value }) => value === kind)!;
