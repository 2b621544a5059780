// Bundles the widgets into the two files that both kernels ship. With --check it writes nothing and fails when the
// committed bundle is not what the sources give, so that a stale bundle cannot be released.
import { readFile, mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { build } from "esbuild";

const room = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const limit = 90 * 1024;

const { outputFiles } = await build({
  absWorkingDir: room,
  entryPoints: { bioimage: "src/index.ts" },
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  write: false,
});

const stale = [];
for (const file of outputFiles) {
  const name = path.relative(room, file.path);
  if (file.contents.length > limit) {
    throw new Error(`${name} has ${file.contents.length} bytes, more than the ${limit} that a notebook should carry`);
  }
  if (process.argv.includes("--check")) {
    const committed = await readFile(file.path).catch(() => undefined);
    if (!committed?.equals(file.contents)) stale.push(name);
  } else {
    await mkdir(path.dirname(file.path), { recursive: true });
    await writeFile(file.path, file.contents);
    console.log(`${name}  ${file.contents.length} bytes`);
  }
}
if (stale.length > 0) {
  console.error(`${stale.join(", ")}: not what the sources give; run \`npm run build\` and commit the result`);
  process.exit(1);
}
