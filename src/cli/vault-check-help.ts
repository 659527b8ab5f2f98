/** What `keyhole vault check --help` prints. */
import { VAULT_ENVIRONMENT_HELP, VAULT_FLAGS_HELP } from './vault-setup-help.ts'

export const VAULT_CHECK_HELP = `keyhole vault check --policy DIR [FLAGS]

Compares Vault with what a policy asks for, with an administrator's token: what is missing, what is too wide, and who
else has access to the keys. It changes nothing. keyhole check does the same from inside, as far as the service's own
login can see.

${VAULT_FLAGS_HELP}
  --output text|json    json: one document, {"type":"vault-check","status":...,"findings":[...]}
  --help                this text

Each line is a state, a path in Vault, and what was found; below it is the vault command that fixes it
  ok     as it should be
  lacks  missing, or grants too little
  wide   grants more than the policy asks for
  note   somebody else's: another policy that allows to decrypt with a key, export it, back it up or configure it, or
         another role that grants keyhole's policies
  skip   this token may not look at it

keyhole vault setup, with the same flags, fixes everything that has such a command. The text of a Vault policy in a
command is what keyhole manifests vault writes.

${VAULT_ENVIRONMENT_HELP}

Exit codes
  0  Vault is as the policy asks for
  1  the command line, the environment or the policy is wrong; Vault was not called
  2  Vault cannot be reached, or is sealed
  3  something is missing or too wide
  4  nothing is wrong as far as this token may look, but it may not look at everything; or Vault refuses the token
`
