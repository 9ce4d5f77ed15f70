// The whole view on a fake host: what a person does, and what the traits then hold.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

// Effects and renders that wait for a frame are done when it returns, however slow the machine is.
const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

async function open(patch = {}) {
  const model = fakeModel(patch);
  model.delay = 1;
  const { el, widget } = await mount(model);
  await wait();
  const find = (selector: string) => el.querySelector<HTMLElement>(selector)!;
  const head = (name: string) => find(`[role=gridcell][aria-label^="${name}"]`);
  return { model, el, find, head, widget };
}
const click = (element: Element, options = {}) =>
  element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...options }));
const press = (element: Element, key: string, options = {}) =>
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...options }));

describe("the head grid", () => {
  it("names every head with its score and its state, in rows and columns", async () => {
    const { el, head } = await open({ selected: [[1, 2]], shown: [[1, 2]], ablated: [[1, 2]] });
    expect(el.querySelectorAll("[role=gridcell]")).toHaveLength(12);
    expect(el.querySelectorAll("[role=columnheader]")).toHaveLength(5);
    expect(el.querySelectorAll("[role=rowheader]")).toHaveLength(3);
    expect(head("L1H2").getAttribute("aria-label")).toMatch(/^L1H2, \S+, exact, shown large, selected, ablated$/);
    expect(head("L1H2").getAttribute("aria-selected")).toBe("true");
    expect(el.querySelectorAll("[role=grid] [tabindex='0']")).toHaveLength(1);
  });
  it("selects on click, ablates on Alt-click, with the tool, and with A", async () => {
    const { model, head, el } = await open();
    click(head("L2H1"));
    expect([model.get("selected"), model.get("shown")]).toEqual([[[2, 1]], [[2, 1]]]);
    click(head("L3H0"), { altKey: true });
    expect(model.get("ablated")).toEqual([[3, 0]]);
    press(head("L0H0"), "a");
    expect(model.get("ablated")).toEqual([
      [3, 0],
      [0, 0],
    ]);
    click([...el.querySelectorAll("button")].find((b) => b.textContent === "Ablate")!);
    await wait();
    click(head("L3H0"));
    expect(model.get("ablated")).toEqual([[0, 0]]);
    expect(model.get("selected")).toEqual([[2, 1]]);
  });
  it("headers act on a whole layer or head number", async () => {
    const { model, find } = await open();
    click(find("[aria-label='Layer 2']"), { altKey: true });
    expect(model.get("ablated")).toEqual([
      [2, 0],
      [2, 1],
      [2, 2],
    ]);
    click(find("[aria-label='Head 1']"));
    expect(model.get("selected")).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
  });
  it("moves focus with the arrows, and keeps its keys from the host", async () => {
    const { head, el } = await open();
    let escaped = 0;
    const listen = () => escaped++;
    document.addEventListener("keydown", listen);
    head("L0H0").focus();
    press(document.activeElement!, "ArrowRight");
    press(document.activeElement!, "ArrowDown");
    expect(document.activeElement!.getAttribute("aria-label")).toMatch(/^L1H1/);
    expect(el.querySelectorAll("[role=grid] [tabindex='0']")).toHaveLength(1);
    press(document.activeElement!, "x");
    document.removeEventListener("keydown", listen);
    expect(escaped).toBe(1);
  });
});

it("tells JupyterLab, on the focused element itself, that a key is not its shortcut", async () => {
  const { head, find } = await open();
  const marked = (element: Element, key: string, options = {}) => {
    press(element, key, options);
    return element.hasAttribute("data-lm-suppress-shortcuts");
  };
  expect([marked(head("L0H0"), "d"), marked(find(".aw-sel"), "x")]).toEqual([true, true]);
  expect([marked(head("L0H0"), "z", { ctrlKey: true }), marked(head("L0H0"), "s", { ctrlKey: true })]).toEqual([
    true,
    false,
  ]);
  expect(marked(document.body, "d")).toBe(false);
});

describe("the intervention", () => {
  it("is undone and redone by keys, whoever made it, and two views share it", async () => {
    const { model, el, head, widget } = await open();
    const other = document.body.appendChild(document.createElement("div"));
    const closeOther = widget.render({ model, el: other, signal: new AbortController().signal } as never);
    await wait();
    model.set("ablated", [[1, 1]]);
    await wait();
    click(head("L2H2"), { altKey: true });
    await wait();
    press(other.querySelector("[role=gridcell]")!, "z", { ctrlKey: true });
    await wait();
    expect(model.get("ablated")).toEqual([[1, 1]]);
    press(head("L0H0"), "z", { ctrlKey: true });
    await wait();
    expect(model.get("ablated")).toEqual([]);
    press(head("L0H0"), "Z", { ctrlKey: true, shiftKey: true });
    await wait();
    expect(model.get("ablated")).toEqual([[1, 1]]);
    expect(el.querySelector(".aw-chip")!.textContent).toContain("L1H1");
    closeOther();
    expect(other.childElementCount).toBe(0);
  });
  it("disables a refused mode and gives its reason", async () => {
    const { find } = await open();
    const option = find("[aria-label='Ablation mode'] option[value=uniform]") as HTMLOptionElement;
    expect([option.disabled, option.title]).toEqual([true, "It does not reach."]);
  });
});

describe("the answer", () => {
  it("is a headline, and a row becomes target or foil", async () => {
    const { model, find, el } = await open({ ablated: [[0, 0]] });
    expect(find(".aw-headline").textContent).toMatch(/^Mary \d+% → /);
    expect(find(".aw-headline").getAttribute("aria-live")).toBe("polite");
    const rows = el.querySelectorAll(".aw-brow");
    click(rows[2]!);
    expect(model.get("target")).toMatch(/^ /);
    click(rows[3]!, { shiftKey: true });
    expect(model.get("against")).toMatch(/^ /);
    expect(model.get("against")).not.toBe(model.get("target"));
  });
  it("stays, with the reason, when a request fails", async () => {
    const { model, find } = await open();
    const before = find(".aw-headline").textContent;
    model.send = (message: { id: string; op: string }) => {
      if (message.op !== "cancel") {
        const error = {
          message: "“Previous layer” is undefined for L0H3. There is no layer before 0.",
          kind: "refused",
        };
        setTimeout(() => model.emit("msg:custom", { id: message.id, ok: false, error }, []), 1);
      }
    };
    model.set("ablated", [[0, 2]]);
    await wait();
    expect(find(".aw-outcome .aw-msg-error b").textContent).toBe("“Previous layer” is undefined for L0H3.");
    expect(find(".aw-headline").textContent).toBe(before);
    expect(find(".aw-outcome .aw-stale")).not.toBeNull();
  });
});

describe("the attention section", () => {
  it("empty, offers the heads the scores put first; one refusal is said once", async () => {
    const { model, el } = await open({ panels: ["grid", "outcome", "attention"] });
    const offer = [...el.querySelectorAll("button")].find((b) => b.textContent!.startsWith("Select the top"))!;
    expect(offer.textContent).toBe("Select the top 6 by output norm");
    offer.click();
    expect(model.get("selected")).toHaveLength(6);
    expect(model.get("shown")).toEqual([model.get("selected")[0]]);
    await wait();
    model.send = ({ id }: { id: string }) => {
      const error = { message: "Not for L0H2.", kind: "refused" };
      setTimeout(() => model.emit("msg:custom", { id, ok: false, error }, []), 1);
    };
    model.set("ablated", [[0, 2]]);
    await wait();
    expect(el.querySelectorAll(".aw-msg-error")).toHaveLength(1);
  });
});

describe("the prompt", () => {
  it("runs on Enter, keeps what was typed when it is refused, and follows Python", async () => {
    const { model, find } = await open();
    const area = find("textarea[aria-label=Prompt]") as HTMLTextAreaElement;
    const type = (text: string) => {
      area.value = text;
      area.dispatchEvent(new Event("input", { bubbles: true }));
    };
    type("   ");
    press(area, "Enter");
    await wait();
    expect(find(".aw-promptpanel .aw-msg-error").textContent).toContain("The prompt is empty.");
    expect([model.get("prompt"), area.value]).toEqual(["a b c", "   "]);
    type("d e");
    press(area, "Enter", { shiftKey: true });
    await wait();
    expect(model.get("prompt")).toBe("a b c");
    press(area, "Enter");
    await wait();
    expect([model.get("prompt"), model.get("tokens")]).toEqual(["d e", ["d", " e"]]);
    expect(find(".aw-promptpanel .aw-msg-error")).toBeNull();
    model.set("prompt", "from Python");
    await wait();
    expect(area.value).toBe("from Python");
  });
  it("too long: offers to keep the end, or the text as it is", async () => {
    const { model, find, el } = await open();
    const ways = () => [...el.querySelectorAll<HTMLElement>(".aw-ways button")];
    const refuse = async () => {
      const send = model.send;
      model.send = ({ id }: { id: string }) => {
        const error = {
          message: "Too long: 70 tokens; tiny takes 64. Shorten it.",
          kind: "refused",
          detail: "too long",
        };
        setTimeout(() => model.emit("msg:custom", { id, ok: false, error }, []), 1);
      };
      press(find("textarea[aria-label=Prompt]"), "Enter");
      await wait();
      model.send = send;
    };
    await refuse();
    expect(ways().map((b) => b.textContent)).toEqual(["Keep the last 64", "Keep my text"]);
    expect(find(".aw-promptpanel details")).toBeNull();
    ways()[1]!.click();
    await wait();
    expect(find(".aw-promptpanel .aw-msg")).toBeNull();
    await refuse();
    ways()[0]!.click();
    await wait();
    const args = { text: "a b c", prepend_bos: false, keep: "end" };
    expect(model.sent.filter((m) => (m as { op: string }).op === "prompt").at(-1)).toMatchObject({ args });
    model.set("prompt", "b c");
    await wait();
    expect((find("textarea[aria-label=Prompt]") as HTMLTextAreaElement).value).toBe("b c");
  });
  it("before the first run only the prompt and what to do are there", async () => {
    const { el, model } = await open({ run_key: "", prompt: "", tokens: [] });
    expect(el.textContent).toContain("Type a prompt and press Run.");
    expect(el.querySelector("[role=grid]")).toBeNull();
    expect(model.sent).toEqual([]);
  });
});

it("a token is picked as the query by click and by arrow", async () => {
  const { model, el } = await open();
  const options = el.querySelectorAll("[role=option]");
  click(options[0]!);
  expect(model.get("query")).toBe(0);
  press(options[0]!, "ArrowRight");
  expect(model.get("query")).toBe(1);
});
