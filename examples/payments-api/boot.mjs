/** A service that has its keys from keyhole before it does anything else. It shows which they are, never what they hold. */
import { createServer } from 'node:http'
import { readSecret } from './read-secret.mjs'

const { KEYHOLE_ADDR, KEYHOLE_CACERT, KEYHOLE_TOKEN_FILE, PORT = '8080' } = process.env
const say = (line) => process.stdout.write(`${line}\n`)

process.on('SIGTERM', () => process.exit(0))
try {
  const options = { address: KEYHOLE_ADDR, caFile: KEYHOLE_CACERT, tokenFile: KEYHOLE_TOKEN_FILE, say }
  serve(await readSecret('/secrets/db', options))
} catch (error) {
  // The kubelet starts the container again, ever less often.
  say(error.message)
  process.exitCode = 1
}

/** In place of what a real service would do with them. */
function serve(values) {
  const keys = Object.keys(values)
  const server = createServer((incoming, outgoing) => {
    if (incoming.url !== '/ready') outgoing.writeHead(404).end()
    else outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  })
  server.listen(Number(PORT), () => say(`serving on ${server.address().port} with the keys ${keys.join(', ')}`))
}
