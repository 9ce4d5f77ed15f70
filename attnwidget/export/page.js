(async () => {
  const root = document.getElementById("attnwidget");
  const bytes = (id) => Uint8Array.from(atob(document.getElementById(`attnwidget-${id}`).textContent), (c) => c.charCodeAt(0));
  const text = (id) => new Response(new Blob([bytes(id)]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  try {
    const style = document.createElement("style");
    style.textContent = await text("style");
    document.head.append(style);
    const url = URL.createObjectURL(new Blob([await text("front-end")], { type: "text/javascript" }));
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
