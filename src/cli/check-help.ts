/** What `keyhole check --help` prints. */
import { CHECKS } from '../check/finding.ts'

export const CHECK_HELP = `keyhole check [FLAGS]

Looks at everything that keyhole stands on, from its own files outwards, and says of each whether it holds and, if not,
what to do. Changes nothing, and prints no value, token or ciphertext. It reads the settings of the service from the
environment, and is best run where the service runs:

  kubectl -n keyhole exec deploy/keyhole -- keyhole check
  kubectl -n keyhole exec deploy/keyhole-rotate -- keyhole check     where rotations have a Deployment of their own

It asks the API server and Vault as the service does, with the service's own tokens and rights, and so finds what the service
would. A pod that waits for a file can be asked as well.

  --output text|json    json: one document, {"type":"check","status":...,"findings":[...]}
  --help                this text

Each line is a state, a check, and what was found
  ok    it holds
  wait  it does not, and may by itself: a server that is away, a file that has not come yet
  fix   it does not, and will not before somebody mends it; what to do stands behind it
  skip  something before it has to be mended first, or it cannot be told from here

Checks
${Object.entries(CHECKS)
  .map(([name, what]) => `  ${name.padEnd(20)}${what}`)
  .join('\n')}

Exit codes
  0  everything holds, or cannot be told from here
  1  the command line or the environment is wrong; nothing else was looked at
  2  nothing to mend, and something to wait for; or it was stopped
  3  something to mend
`
