/**
 * `npm run build`: everything that the image holds of ours, as one file, dist/program.js; dist/keyhole.mjs, which runs it; and the
 * licences of what is in it. Start-up is mostly the number of files that are opened. A verb's part of the file runs when the verb
 * is asked for. What is not reachable from src/cli/main.ts (stand-ins, test worlds) is not in it.
 */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Metafile, Plugin } from 'esbuild'
import { build } from 'esbuild'

const ROOT = import.meta.dirname

export interface Bundle {
  /** Of dist/program.js. */
  readonly code: Uint8Array
  readonly licences: string
  readonly metafile: Metafile
}

/** @throws for a package that is not as it was when its part here was written. */
export async function bundle(): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli/main.ts'],
    outfile: 'dist/program.js',
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    target: 'node24',
    // For the script that deploy/image/start.mjs makes of it. Unlike an import, a require of a built-in module waits until the part
    // that needs it runs, and does not ask the module for all that it has.
    format: 'cjs',
    banner: { js: '(function(require){"use strict";' },
    footer: { js: '})' },
    minify: true,
    // A stack in the log is for reading, and classes of errors are told by name.
    keepNames: true,
    legalComments: 'external',
    plugins: [leftOut, modelsWhenNeeded],
  })
  const [code, notices] = ['.js', '.txt'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)))
  if (code === undefined || notices === undefined) throw new Error('esbuild did not write what it should')
  return { code: code.contents, licences: `${licencesOf(metafile)}\n${notices.text}`, metafile }
}

/**
 * Parts of packages that keyhole replaces and never enters: 2 MB that would be read at each start, and ways out of the process
 * that are not Send. What stands in their place throws when it is called.
 */
const LEFT_OUT: Readonly<Record<string, { readonly from: RegExp; readonly contents: string }>> = {
  // Of undici, external/ uses two classes, and the transport of the Kubernetes SDK, which is never called, one function.
  undici: {
    from: /\/(?:src\/external\/[^/]+|client-node\/dist\/gen\/http\/isomorphic-fetch)\.[jt]s$/,
    contents: `
      exports.Client = require('undici/lib/dispatcher/client.js')
      exports.Pool = require('undici/lib/dispatcher/pool.js')
      exports.fetch = () => { throw new Error('left out of the bundle') }`,
  },
  // The transport of the Vault SDK.
  axios: {
    from: /node-vault\/src\/index\.js$/,
    contents: "exports.create = () => { throw new Error('left out of the bundle') }",
  },
  // No route has a JSON Schema.
  '@fastify/ajv-compiler': {
    from: /fastify\/lib\/schema-controller\.js$/,
    contents: "module.exports = () => () => { throw new Error('left out of the bundle') }",
  },
  '@fastify/fast-json-stringify-compiler': {
    from: /fastify\/lib\/schema-controller\.js$/,
    contents: "module.exports = () => () => { throw new Error('left out of the bundle') }",
  },
}

const leftOut: Plugin = {
  name: 'left out',
  setup({ onResolve, onLoad, onEnd }) {
    const met = new Set<string>()
    for (const [path, { from }] of Object.entries(LEFT_OUT)) {
      const filter = new RegExp(`^${RegExp.escape(path)}$`)
      onResolve({ filter }, ({ importer, namespace }) => {
        if (namespace !== 'file' || !from.test(importer)) return undefined
        met.add(path)
        return { path, namespace: 'left-out' }
      })
    }
    onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      contents: LEFT_OUT[path]?.contents ?? '',
      resolveDir: ROOT,
    }))
    onEnd(() => {
      const unmet = Object.keys(LEFT_OUT).filter((path) => !met.has(path))
      return unmet.length === 0 ? {} : { errors: [{ text: `nothing asks for what is left out: ${unmet.join(', ')}` }] }
    })
  },
}

/** The Kubernetes SDK makes a class of every kind there is, at start: 700 files. A start needs none, and a day a dozen. */
const modelsWhenNeeded: Plugin = {
  name: 'models when needed',
  setup({ onLoad }) {
    onLoad({ filter: /client-node\/dist\/gen\/models\/ObjectSerializer\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const files = new Map(
        [...source.matchAll(/^import \{ (\w+) \} from '(\S+)';$/gm)].map(([, name = '', file]) => [name, file]),
      )
      let found = 0
      const contents = source
        .replaceAll(/^(?:import|export) .*from '\.\.\/models\/.*';$/gm, '')
        .replaceAll(/^ {4}"(\w+)": (\w+),$/gm, (entry, key, name) => {
          const file = files.get(name)
          if (file === undefined) return entry
          found += 1
          return `get "${key}"() { return require('${file}').${name} },`
        })
      if (files.size < 100 || found !== files.size) throw new Error(`${path} is not as it was`)
      return { contents }
    })
  },
}

/** @returns name, licence and notices of each package of which something is in the bundle. */
function licencesOf({ outputs }: Metafile): string {
  const inputs = Object.values(outputs).flatMap(({ inputs: of }) => Object.entries(of))
  const directories = new Set(
    inputs
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([path]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0])
      .filter((directory) => directory !== undefined),
  )
  return [...directories]
    .toSorted()
    .map(licenceOf)
    .join(`\n${'-'.repeat(80)}\n\n`)
}

function licenceOf(directory: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, directory, 'package.json'), 'utf8'))
  const texts = readdirSync(join(ROOT, directory))
    .filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(join(ROOT, directory, file), 'utf8').trim())
  return [`${name} ${version}: ${license}`, ...texts, ''].join('\n\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { code, licences } = await bundle()
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  writeFileSync(join(ROOT, 'dist/program.js'), code)
  writeFileSync(join(ROOT, 'dist/licences.txt'), licences)
  copyFileSync(join(ROOT, 'deploy/image/start.mjs'), join(ROOT, 'dist/keyhole.mjs'))
  chmodSync(join(ROOT, 'dist/keyhole.mjs'), 0o755)
  process.stdout.write(`dist/program.js: ${(code.length / 1e6).toFixed(1)} MB\n`)
}
