/** What `keyhole vault setup --help` prints. */

/** The flags that `keyhole vault setup` and `keyhole vault check` share, and the environment they read. */
export const VAULT_FLAGS_HELP = `  --policy DIR          the policy documents, laid out as keyhole reads them
  --reader NS/SA        ServiceAccount that serves reads (keyhole/keyhole)
  --rotator NS/SA       ServiceAccount that serves rotations (keyhole/keyhole-rotate)
  --reads-only          nothing for a rotator
  --read-role NAME      Vault role and policy that reads, for TransitKeys that name none (keyhole)
  --rotate-role NAME    the same for what rotates (keyhole-rotate)
  --audience NAME       that tokens must name at Vault (vault)
  --auth-mount PATH     of Vault's Kubernetes auth method (kubernetes)
  --auth-type TYPE      of it, where the plugin is registered under another name (kubernetes)
  --kubernetes-host URL the API server as Vault reaches it; without it what is configured stays, and where nothing is,
                        Vault is taken to run in the cluster
  --kubernetes-ca FILE  PEM of the API server's CA; without it the one of Vault's own pod
  --token-reviewer-jwt-file FILE
                        a token that may create TokenReviews, for a Vault outside the cluster; needs --kubernetes-ca`

export const VAULT_ENVIRONMENT_HELP = `Environment, as of the vault command
  VAULT_ADDR            origin of Vault; https, or http on loopback
  VAULT_CACERT          PEM of Vault's CA; without it the system's CAs are trusted
  VAULT_TOKEN           an administrator's token; without it that of ~/.vault-token, where vault login puts it
  VAULT_NAMESPACE       Vault namespace (Enterprise, OpenBao)`

export const VAULT_SETUP_HELP = `keyhole vault setup --policy DIR [FLAGS]

Makes Vault what a policy asks for: the Transit engine and its keys, one Vault policy for what reads and one for what rotates,
the Kubernetes auth method, and a role for each. It looks first, says what it would write and why, each with the vault command
that does the same, and writes nothing before it is told to:

  keyhole vault setup --policy policy             what would be written
  keyhole vault setup --policy policy --yes       writes it, and looks again

It can be run at any time, and again: what is as it should be is left alone. It makes what is missing and narrows what is too
wide; it deletes nothing, and where a role or a policy of the same name may be somebody else's, it stops and says so.

${VAULT_FLAGS_HELP}
  --yes                 write it
  --dry-run             write nothing, and end with 0 also where there is something to write
  --help                this text

A Vault policy is written from the text that keyhole manifests vault --policy DIR writes.

${VAULT_ENVIRONMENT_HELP}

Exit codes
  0  Vault is as the policy asks for; or with --dry-run, whatever there is to write
  1  the command line, the environment or the policy is wrong; nothing was asked of Vault
  2  Vault cannot be reached, or is sealed: the same may succeed later, and goes on from where it stopped
  3  something is left to be written, or to be settled by a person first
  4  Vault refuses the token, or what it was asked
`
