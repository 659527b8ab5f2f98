/**
 * `npm run build`: the service as one file, dist/keyhole.mjs. Start-up is mostly the number of files that are opened; one
 * file starts in a third of the time. What is not reachable from src/main.ts (stand-ins, test worlds) is not in it.
 */
import { statSync } from 'node:fs'
import { build } from 'esbuild'

const OUTPUT = 'dist/keyhole.mjs'

await build({
  entryPoints: ['src/main.ts'],
  outfile: OUTPUT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay: a stack in the log is for reading.
  keepNames: true,
  legalComments: 'linked',
  // node-vault and parts of Fastify are CommonJS and require built-in modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
})
process.stdout.write(`${OUTPUT}: ${(statSync(OUTPUT).size / 1e6).toFixed(1)} MB\n`)
