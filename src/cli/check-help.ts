/** What `keyhole check --help` prints. */
import { CHECKS } from '../check/finding.ts'

export const CHECK_HELP = `keyhole check [FLAGS]

Checks everything that keyhole depends on, starting with its own files, and says what is in order and how to fix what is
not. It changes nothing, and prints no value, token or ciphertext. It reads the settings of the service from the
environment, so run it where the service runs:

  kubectl -n keyhole exec deploy/keyhole -- keyhole check
  kubectl -n keyhole exec deploy/keyhole-rotate -- keyhole check     where rotations have a Deployment of their own

It calls the API server and Vault as the service does, with the service's own tokens and rights, and so finds what the
service would. It also works in a pod that is still waiting for a file.

  --output text|json    json: one document, {"type":"check","status":...,"findings":[...]}
  --help                this text

Each line is a state, the name of a check, and what was found
  ok    in order
  wait  not in order, but may become so by itself: a server is away, a file has not arrived yet
  fix   not in order until somebody fixes it; the line says how
  skip  not checked: something else has to be fixed first, or it cannot be seen from here

Checks
${Object.entries(CHECKS)
  .map(([name, what]) => `  ${name.padEnd(20)}${what}`)
  .join('\n')}

Exit codes
  0  everything that can be seen from here is in order
  1  the command line or the environment is wrong; nothing else was checked
  2  nothing to fix, but something to wait for; or the command was stopped
  3  something to fix
`
