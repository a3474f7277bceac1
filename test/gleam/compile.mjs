// Compiles Gleam to Erlang with the compiler's WebAssembly build (Gleam 0.30.5).
//
//   node compile.mjs COMPILER OUT DIR…
//
// COMPILER is the npm package's folder. All *.gleam files below the folders become one program,
// Erlang source in OUT. That build swallows the compiler's warnings: what it would say of imports and
// values that nobody uses is looked for here (imports) and by erlc in what comes out (the rest).
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";

const [compiler, out, ...folders] = process.argv.slice(2);
// Not by its path: its package does not say that it is a module, and older Node.js believes that.
const glue = readFileSync(join(compiler, "compiler/gleam_wasm.js"), "utf8");
const { compile, initSync } = await import("data:text/javascript," + encodeURIComponent(glue));
initSync(readFileSync(join(compiler, "compiler/gleam_wasm_bg.wasm")));

const sourceFiles = {};
for (const folder of folders) {
  for (const entry of readdirSync(folder, { recursive: true })) {
    if (!entry.endsWith(".gleam")) continue;
    const name = "/src/" + relative(folder, join(folder, entry));
    if (name in sourceFiles) fail(`${name} is there twice`);
    sourceFiles[name] = readFileSync(join(folder, entry), "utf8");
  }
}

const unused = Object.entries(sourceFiles)
  .flatMap(([name, text]) => complaints(text).map((what) => `${name}: ${what}`));
if (unused.length > 0) fail(unused.join("\n"));

const { Ok: compiled, Err: error } = compile({ target: "erlang", sourceFiles, dependencies: [], mode: "Dev" });
if (error) fail(error);

mkdirSync(out, { recursive: true });
for (const [name, text] of compiled instanceof Map ? compiled : Object.entries(compiled)) {
  if (name.endsWith(".erl") && !name.endsWith("gleam-wasm@@main.erl")) {
    // So that erlc warns of unused variables, which are Gleam's own.
    writeFileSync(join(out, basename(name)), text.replace(", nowarn_unused_vars", ""));
  }
}

function complaints(text) {
  const code = text.replace(/"(\\.|[^"\\])*"/gs, '""').replace(/\/\/.*$/gm, "");
  const found = [];
  for (const [, path, names, , alias] of code.matchAll(/^import ([\w/]+)(?:\.\{([^}]*)\})?( as (\w+))?$/gm)) {
    const name = alias ?? path.split("/").pop();
    const rest = code.replace(/^import .*$/gm, "");
    if (!names && !new RegExp(`\\b${name}\\.`).test(rest)) found.push(`nobody uses the import of ${path}`);
    for (const one of (names ?? "").split(",").map((n) => n.trim()).filter(Boolean)) {
      // Gleam 1.x wants \`type\` before a type's name, 0.30 knows no such word: neither here.
      if (/^type /.test(one) || !new RegExp(`\\b${one}\\b`).test(rest)) found.push(`the import of ${path}.{${one}}`);
    }
  }
  if (/\btodo\b/.test(code)) found.push("todo");
  return found;
}

function fail(text) {
  console.error(text);
  process.exit(1);
}
