/**
 * As much of Vault as setting it up touches, in memory. The scenarios beside it are run against this and against a real
 * Vault, which holds the one to what the other does.
 */
import { UpstreamError } from '../../src/errors.ts'
import type { Fields, VaultAdmin } from '../../src/vault-setup/port.ts'

export interface Model extends VaultAdmin {
  /** Everything that was asked for, in order: `read sys/mounts`, `write sys/auth/kubernetes`. */
  readonly asked: string[]
  /** A 403 for these, as `asked` names them. */
  readonly forbidden: RegExp[]
  /** Thrown once, at the first that fits. */
  readonly failures: { readonly at: RegExp; readonly error: UpstreamError }[]
  /** As an operator puts it there. */
  put(path: string, data: Fields): void
  /** All that it holds, by path; a copy. */
  state(): Readonly<Record<string, Fields>>
}

export function vaultModel(): Model {
  const there = new Map<string, Fields>()
  const [asked, forbidden, failures]: [string[], RegExp[], { at: RegExp; error: UpstreamError }[]] = [[], [], []]

  function asking(what: string): void {
    asked.push(what)
    if (forbidden.some((pattern) => pattern.test(what))) throw new UpstreamError('vault', 'forbidden', 403)
    const index = failures.findIndex(({ at }) => at.test(what))
    const [failure] = index < 0 ? [] : failures.splice(index, 1)
    if (failure !== undefined) throw failure.error
  }

  function typesBelow(path: string): Fields {
    const below = [...there].filter(([at]) => at.startsWith(`${path}/`))
    return Object.fromEntries(
      below.map(([at, { type, config = {} }]) => [`${at.slice(path.length + 1)}/`, { type, config, options: null }]),
    )
  }

  function put(path: string, data: Fields): void {
    const before = there.get(path) ?? {}
    if (/^sys\/(?:mounts|auth)\//.test(path) && there.has(path)) throw new UpstreamError('vault', 'bad-request', 400)
    if (/^sys\//.test(path)) there.set(path, data)
    else if (/^auth\/.+\/config$/.test(path)) there.set(path, configured(data))
    else if (/^auth\/.+\/role\//.test(path))
      there.set(path.toLowerCase(), { ...ROLE, ...before, ...NO_SELECTOR, ...data })
    else if (/\/config$/.test(path)) merge(path.replace(/\/config$/, ''), data)
    else if (!there.has(path)) there.set(path, { ...KEY, ...data })
  }

  function merge(path: string, data: Fields): void {
    const before = there.get(path)
    if (before === undefined) throw new UpstreamError('vault', 'key-missing', 400)
    // Once they are given they stay.
    const kept = Object.fromEntries(LASTING.filter((field) => before[field] === true).map((field) => [field, true]))
    there.set(path, { ...before, ...data, ...kept })
  }

  return {
    asked,
    forbidden,
    failures,
    put,
    state: () => structuredClone(Object.fromEntries(there)),
    async read(path) {
      asking(`read ${path}`)
      return path === 'sys/mounts' || path === 'sys/auth' ? typesBelow(path) : there.get(path)
    },
    async list(path) {
      asking(`list ${path}`)
      return [...there.keys()].filter((at) => at.startsWith(`${path}/`)).map((at) => at.slice(path.length + 1))
    },
    async write(path, data) {
      asking(`write ${path}`)
      put(path, data)
    },
  }
}

const LASTING = ['exportable', 'allow_plaintext_backup']

const KEY: Fields = {
  type: 'aes256-gcm96',
  derived: false,
  exportable: false,
  allow_plaintext_backup: false,
  deletion_allowed: false,
}

/** Kept by no write that does not name it. */
const NO_SELECTOR: Fields = { bound_service_account_namespace_selector: '' }

const ROLE: Fields = {
  token_policies: [],
  token_no_default_policy: false,
  token_type: 'default',
  token_ttl: 0,
  token_period: 0,
  token_num_uses: 0,
}

/** One write sets all of it, and the token does not come back. */
function configured({ token_reviewer_jwt: token = '', ...data }: Fields): Fields {
  return {
    kubernetes_ca_cert: '',
    pem_keys: [],
    issuer: '',
    disable_iss_validation: true,
    disable_local_ca_jwt: false,
    use_annotations_as_alias_metadata: false,
    ...data,
    token_reviewer_jwt_set: token !== '',
  }
}
