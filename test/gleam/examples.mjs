// Makes modules of the examples in Gleam's doc comments: each a function `example_N`, or, where it says
// what comes of it (`// -> value` below an expression), a test `example_N_test`.
//
//   node examples.mjs SOURCES OUT
//
// What an example needs is imported for it: the module it stands in, and those it names.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [sources, out] = process.argv.slice(2);
const files = readdirSync(sources, { recursive: true }).filter((name) => name.endsWith(".gleam"));
const known = ["gleam/dict", "gleam/io", "gleam/list", ...files.map((name) => name.replace(/\.gleam$/, ""))];
let found = 0;
mkdirSync(out, { recursive: true });

for (const file of files) {
  const comments = readFileSync(join(sources, file), "utf8")
    .split("\n")
    .filter((line) => /^\/{3,4}/.test(line))
    .map((line) => line.replace(/^\/{3,4} ?/, ""))
    .join("\n");
  const examples = [...comments.matchAll(/^```gleam\n(.*?)^```$/gms)].map(([, code]) => code);
  if (examples.length === 0) continue;
  found += examples.length;
  const used = known.filter((path) => examples.some((code) => new RegExp(`\\b${path.split("/").pop()}\\.`).test(code)));
  const functions = examples.map((code, n) => {
    const checked = code.replace(/^(.*)\n\/\/ -> (.*)$/gm, "let assert True = $1 == $2");
    if (checked !== code) return `pub fn example_${n + 1}_test() {\n${checked}}\n`;
    return `pub fn example_${n + 1}(${/\bsecret\b/.test(code) ? "secret: String" : ""}) {\n${code}}\n`;
  });
  const name = file.replace(/\.gleam$/, "").replaceAll("/", "_") + "_example_test.gleam";
  writeFileSync(join(out, name), used.map((path) => `import ${path}\n`).join("") + "\n" + functions.join("\n"));
}
if (found === 0) throw new Error("there are no examples");
