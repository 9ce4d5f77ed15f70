// The clipboard, and the old way of reaching it where a page has none.

/** True when it has taken the text. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure origin there is no clipboard but the old one.
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const taken = document.execCommand?.("copy") ?? false;
    area.remove();
    return taken;
  }
}
