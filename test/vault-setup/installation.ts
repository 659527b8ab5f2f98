/** One installation to be set up, with names of its own, so that many share a Vault. */
import type { Fields, VaultAdmin } from '../../src/vault-setup/port.ts'
import type { Plan } from '../../src/vault-setup/set-up.ts'
import { carryOut, planFor } from '../../src/vault-setup/set-up.ts'
import type { Wanted, WantedAuth } from '../../src/vault-setup/wanted.ts'
import { wantedIn, withoutReviewerToken } from '../../src/vault-setup/wanted.ts'
import { createAuthority } from '../certificates.ts'
import { policyFrom, transitKey } from '../policy/documents.ts'

export interface Installation {
  readonly vault: VaultAdmin
  /** Of its mount, its key, its auth method; `-reads` and `-rotates` are its roles. */
  readonly name: string
  readonly wanted: Wanted
  readonly key: string
  readonly role: string
  readonly policy: string
  readonly config: string
  plan(wanted?: Wanted): Promise<Plan>
  /** Carries out what `plan` says, whatever it says, and looks again. */
  setUp(wanted?: Wanted): Promise<Plan>
  /** With another API server, or none named. */
  wantedWith(kubernetes?: WantedAuth['kubernetes']): Wanted
}

export const ADMINS = { rotation: { admins: [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }] } }
/** A Vault that runs in no pod has no CA of its own to trust. */
const CA = { file: 'kubernetes-ca.crt', text: createAuthority().ca }
export const REVIEWER_TOKEN = 'canary-of-a-reviewer'

/** @param authType what the Kubernetes auth method is registered as. */
export function installation(vault: VaultAdmin, name: string, authType = 'kubernetes'): Installation {
  const options = {
    identities: {
      reader: { namespace: 'keyhole', name: 'keyhole' },
      rotator: { namespace: 'keyhole', name: 'keyhole-rotate' },
    },
    roles: { read: `${name}-reads`, rotate: `${name}-rotates` },
    audience: 'vault',
    auth: { mount: name, type: authType, kubernetes: { host: 'https://127.0.0.1:6443', ca: CA } },
  }
  const policy = policyFrom(transitKey({ mount: name, ...ADMINS }, `${name}-key`))
  const wanted = wantedIn(policy, options)
  const looking = { vault, signal: new AbortController().signal, progress() {} }
  const plan = (asked = wanted) => planFor(asked, looking)
  return {
    vault,
    name,
    wanted,
    key: `${name}/keys/${name}-key`,
    role: `auth/${name}/role/${name}-reads`,
    policy: `sys/policies/acl/${name}-reads`,
    config: `auth/${name}/config`,
    plan,
    async setUp(asked = wanted) {
      await carryOut(await plan(asked), { ...looking, readFile: () => REVIEWER_TOKEN, began() {} })
      return await plan(withoutReviewerToken(asked))
    },
    wantedWith: (kubernetes) => ({
      ...wanted,
      auth: { mount: name, type: authType, ...(kubernetes !== undefined && { kubernetes }) },
    }),
  }
}

/** The findings about one thing. */
export function about({ all }: Plan, path: string): Plan['all'] {
  return all.filter((finding) => finding.about === path)
}

/** What the auth method is told of an API server. */
export const HOST: Fields = { kubernetes_host: 'https://127.0.0.1:6443', disable_local_ca_jwt: true }
