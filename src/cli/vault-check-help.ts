/** What `keyhole vault check --help` prints. */
import { VAULT_ENVIRONMENT_HELP, VAULT_FLAGS_HELP } from './vault-setup-help.ts'

export const VAULT_CHECK_HELP = `keyhole vault check --policy DIR [FLAGS]

Compares Vault with what a policy asks for, as its administrator: what is missing, what is too wide, and who else may come at
its keys. Changes nothing. keyhole check does the same from inside, as far as the service's own login can see.

${VAULT_FLAGS_HELP}
  --output text|json    json: one document, {"type":"vault-check","status":...,"findings":[...]}
  --help                this text

Each line is a state, what it is about, and what was found; below it, the vault command that mends it
  ok     as it should be
  lacks  missing, or gives too little
  wide   gives more than is asked for
  note   somebody else's: another policy that may decrypt with a key, export it, back it up or configure it, or another role
         that gives keyhole's policies
  skip   may not be looked at with this token

All that it mends, keyhole vault setup mends with the same flags. A Vault policy is written from the text that keyhole manifests
vault writes.

${VAULT_ENVIRONMENT_HELP}

Exit codes
  0  Vault is as the policy asks for
  1  the command line, the environment or the policy is wrong; nothing was asked of Vault
  2  Vault cannot be reached, or is sealed
  3  something is missing or too wide
  4  nothing wrong was seen, and something may not be looked at with this token; or Vault refuses the token
`
