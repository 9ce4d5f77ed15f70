// Builds ../attnwidget/static/widget.{js,css}; `--watch` keeps doing so, `--dev` builds the kernel-free page of dev/ too.
import { context } from "esbuild";

const flags = new Set(process.argv.slice(2));
const shared = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  define: { "process.env.NODE_ENV": '"production"' },
  charset: "utf8",
  legalComments: "none",
  logLevel: "info",
};

const builds = [
  { ...shared, entryPoints: { widget: "src/index.tsx" }, outdir: "../attnwidget/static" },
  { ...shared, entryPoints: { widget: "src/styles/widget.css" }, outdir: "../attnwidget/static" },
];
if (flags.has("--dev")) {
  builds.push({ ...shared, entryPoints: { page: "dev/page.ts" }, outdir: "dev/built" });
}

for (const options of builds) {
  const build = await context(options);
  if (flags.has("--watch")) {
    await build.watch();
  } else {
    await build.rebuild();
    await build.dispose();
  }
}
