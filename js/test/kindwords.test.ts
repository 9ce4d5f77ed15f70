import { describe, expect, it } from "vitest";
import { best } from "../src/panels/kinds";

const kind = (...scores: number[]) => ({
  values: { dtype: "float32" as const, shape: [1, scores.length], scale: 1, data: Float32Array.from(scores) },
});

describe("what is said where no head is of a kind", () => {
  it.each([
    [0.39, "The highest is L0H1 with 0.39."],
    [0.3985, "The highest is L0H1 with 0.3985."], // 0.40 would be what it falls short of
    [0.41, "The highest is L0H1 with 0.41, which is not surely above chance."],
  ])("%f", (score, said) => {
    expect(best(kind(0.1, score), 2, 0.4)).toBe(said);
  });
});
