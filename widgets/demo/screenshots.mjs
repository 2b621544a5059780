// Pictures of the widgets in every state, theme and width, to be looked at; what axe finds in them; and the time that a
// delta takes to draw.
// node demo/screenshots.mjs [folder]
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { panels } from "./panel-scenarios.mjs";
import { serve } from "./serve.mjs";

const folder = process.argv[2] ?? "test-results/widgets";
const server = await serve(0);
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
await mkdir(folder, { recursive: true });
const problems = [];
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

async function inspect(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run("main", { resultTypes: ["violations"] }));
  for (const { id, nodes } of violations) {
    for (const { target, failureSummary } of nodes.slice(0, 5)) problems.push(`${name}: ${id} at ${target.join(" ")}: ${failureSummary}`);
  }
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (overflow > 0) problems.push(`${name}: the page is ${overflow} px wider than the window`);
}

async function open(scenario, theme, width, scale = 1) {
  const page = await browser.newPage({ viewport: { width, height: 700 }, deviceScaleFactor: scale });
  page.on("console", (message) => message.type() === "error" && problems.push(`${scenario}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`${scenario}: ${error}`));
  await page.goto(`${origin}/?scenario=${scenario}&theme=${theme}&bare`);
  await page.waitForTimeout(150);
  return page;
}

const actions = {
  failed: async (page) => {
    await page.locator(".bp-failure").nth(2).click();
    await page.locator(".bp-log").waitFor();
  },
  cancelled: (page) => page.getByRole("button", { name: "Resume…" }).click(),
  succeeded: (page) => page.getByRole("button", { name: "Copy as code" }).click(),
  interrupted: async (page) => {
    await page.getByRole("button", { name: "Retry failed" }).click({ force: true });
  },
  running: async (page) => {
    await page.locator(".bp-workers summary").click();
    await page.locator(".bp-stage").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
  },
  form: async (page) => {
    await page.getByLabel("input", { exact: true }).fill("data/embryo/");
    await page.locator(".bp-options:not([hidden])").waitFor();
    await page.keyboard.press("ArrowDown");
  },
  "form-slurm": async (page) => {
    await page.getByLabel("partition").click();
    await page.locator(".bp-options:not([hidden])").waitFor();
    await page.keyboard.press("ArrowDown");
  },
  "form-running": async (page) => {
    await page.getByRole("tab", { name: "Python" }).click();
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(".bp-embedded canvas").first().waitFor();
  },
  runs: (page) => page.getByRole("button", { name: "Delete run m1b8wz" }).click(),
  "runs-attached": async (page) => {
    await page.getByRole("button", { name: "Resume run a9c2rt" }).click();
    await page.getByRole("button", { name: "Attach run m1b8wz" }).click();
    await page.locator(".bp-embedded canvas").first().waitFor();
  },
  "slurm-problem": (page) => page.locator(".bp-checked:not([hidden])").waitFor(),
};

const scenarios = ["running", "failed", "succeeded", "cancelled", "interrupted", "queued", "large", "flat", "line", "four", "tiles", "saved", ...Object.keys(panels)];
const only = process.env.ONLY?.split(",") ?? scenarios;
for (const scenario of only) {
  for (const theme of ["light", "dark"]) {
    for (const width of [400, 1600]) {
      const page = await open(scenario, theme, width);
      await actions[scenario]?.(page);
      await page.waitForTimeout(250);
      await page.screenshot({ path: `${folder}/${scenario}-${theme}-${width}.png`, fullPage: true });
      await inspect(page, `${scenario} ${theme} ${width}`);
      await page.close();
    }
  }
}

const measured = process.env.ONLY === undefined ? [["large", 900], ["flat", 900], ["flat", 1600]] : [];
for (const [scenario, width] of measured) {
  const page = await open(scenario, "light", width, 2);
  const times = await page.evaluate(async () => {
    const times = [];
    for (let i = 0; i < 40; i += 1) {
      const numbers = Array.from({ length: 200 }, (_, k) => (i * 200 + k) % 10000);
      await new Promise(requestAnimationFrame);
      const start = performance.now();
      window.model.delta(numbers, numbers.map(() => 1 + (i % 5)));
      // Reading one pixel waits for the drawing itself.
      document.querySelector(".bp-stage canvas").getContext("2d").getImageData(0, 0, 1, 1);
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`${scenario} at ${width} px: delta of 200 cells, median ${times[20].toFixed(1)} ms, slowest ${times[39].toFixed(1)} ms`);
  await page.close();
}

await browser.close();
server.close();
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`pictures are in ${folder}`);
