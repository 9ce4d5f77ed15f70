import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Field } from "../src/panels/field";

let root: HTMLElement;
const commit = vi.fn<(text: string) => boolean>();
const show = (value: string) => act(() => render(<Field class="" label="x" value={value} onCommit={commit} />, root));
const field = () => root.querySelector("input")!;
const enter = async () => {
  field().dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
  await new Promise((done) => setTimeout(done, 0));
};

beforeEach(() => {
  root = document.body.appendChild(document.createElement("div"));
  commit.mockReset().mockReturnValue(true);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

it("follows its value, but never takes away what is being typed", async () => {
  await show("Mary");
  expect(field().value).toBe("Mary");
  field().value = "Jo";
  await show("Paul");
  expect(field().value).toBe("Jo");
  await enter();
  expect(commit.mock.calls).toEqual([["Jo"]]);
  expect(field().value).toBe("Paul");
});

it("commits once, on Enter or when it is left, and not what it already shows", async () => {
  await show("3");
  await enter();
  field().value = "5";
  await enter();
  field().dispatchEvent(new Event("change", { bubbles: true }));
  expect(commit.mock.calls).toEqual([["5"]]);
});

it("leaves a refused text for the reader to mend, and then follows again", async () => {
  commit.mockReturnValue(false);
  await show("3");
  field().value = "99";
  await enter();
  expect(field().value).toBe("99");
  await show("4");
  expect(field().value).toBe("4");
});

it("is quiet when it is taken away while it is being left", async () => {
  await show("3");
  const gone = field();
  gone.value = "5";
  await act(() => render(null, root));
  gone.dispatchEvent(new Event("change"));
  expect(commit).not.toHaveBeenCalled();
});
