/** `node FLAGS record.mjs ARGS...`: runs `keyhole ARGS...`, and writes V8's cache of what it has compiled by its end. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setFlagsFromString } from 'node:v8'

const PROGRAM = '/app/keyhole.mjs'

// What ran once, at the start, would be thrown away before the end. The flag is part of the cache's tag, so it is taken back.
setFlagsFromString('--no-flush-bytecode')
process.argv.splice(1, 1, PROGRAM)
const { script, cacheFile } = await import(PROGRAM)
process.on('exit', () => {
  setFlagsFromString('--flush-bytecode')
  mkdirSync(dirname(cacheFile()), { recursive: true })
  writeFileSync(cacheFile(), script.createCachedData())
})
