import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { OpError, type Source } from "../src/source/ops";
import { patient } from "../src/source/patient";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const failing = (kind: OpError["kind"]): Source => ({ ask: () => Promise.reject(new OpError("No.", kind)) });
const ask = (source: Source, starting: () => boolean) => {
  const said: string[] = [];
  const question = patient(source, starting).ask("thumbnails", { run_key: "a" });
  question.catch((error: OpError) => said.push(error.kind));
  return said;
};

it("says at once what was refused", async () => {
  const said = ask(failing("refused"), () => true);
  await vi.advanceTimersByTimeAsync(0);
  expect(said).toEqual(["refused"]);
});

it("holds back what the kernel cancelled until the new prompt has started", async () => {
  let starting = true;
  const said = ask(failing("cancelled"), () => starting);
  await vi.advanceTimersByTimeAsync(5000);
  expect(said).toEqual([]);
  starting = false;
  await vi.advanceTimersByTimeAsync(400);
  expect(said).toEqual(["cancelled"]);
});
