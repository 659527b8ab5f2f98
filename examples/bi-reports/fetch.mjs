/** Writes each value that keyhole gives into a file of its own, for a program that knows nothing of keyhole. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSecret } from './read-secret.mjs'

const { KEYHOLE_ADDR, KEYHOLE_CACERT, KEYHOLE_TOKEN_FILE, INTO } = process.env
const say = (line) => process.stdout.write(`${line}\n`)

process.on('SIGTERM', () => process.exit(0))
try {
  const options = { address: KEYHOLE_ADDR, caFile: KEYHOLE_CACERT, tokenFile: KEYHOLE_TOKEN_FILE, say }
  const values = await readSecret('/secrets/db.payments', options)
  for (const [key, value] of Object.entries(values)) {
    if (!/^\w+$/.test(key)) throw new Error(`a key is called ${JSON.stringify(key)}, which is no name for a file here`)
    // There already, where the container was started again.
    rmSync(join(INTO, key), { force: true })
    writeFileSync(join(INTO, key), typeof value === 'string' ? value : JSON.stringify(value), { mode: 0o400 })
  }
  say(`fetched ${Object.keys(values).join(', ')}`)
} catch (error) {
  say(error.message)
  process.exitCode = 1
}
