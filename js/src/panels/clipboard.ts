// Text for the clipboard, also where the page has no modern one.

/** True when the clipboard has taken it. */
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
