(async () => {
  const root = document.getElementById("attnwidget");
  // A loop: of a large page `Uint8Array.from` takes five times as long.
  const bytes = (id) => {
    const text = atob(document.getElementById(`attnwidget-${id}`).textContent);
    const found = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
    return found;
  };
  const unpacked = (id) => new Response(new Blob([bytes(id)]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  try {
    const style = document.createElement("style");
    style.textContent = await unpacked("style");
    document.head.append(style);
    const url = URL.createObjectURL(new Blob([await unpacked("front-end")], { type: "text/javascript" }));
    const { openContainer, openPage } = await import(url);
    URL.revokeObjectURL(url);
    await openPage(root, await openContainer(bytes("recording")));
  } catch (error) {
    const said = document.createElement("p");
    said.setAttribute("role", "alert");
    said.textContent = `This page could not be shown: ${error}. It needs a browser of 2023 or later that runs scripts.`;
    root.append(said);
    throw error;
  }
})();
