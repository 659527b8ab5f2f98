/** `keyhole vault` in this process, against the model of a Vault behind a real HTTP server. */
import type { ServerResponse } from 'node:http'
import { expect } from 'vitest'
import { vaultCheck } from '../../src/cli/vault-check.ts'
import { vaultSetup } from '../../src/cli/vault-setup.ts'
import { systemClock } from '../../src/clock.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { Seen } from '../external/peer.ts'
import { startPeer } from '../external/peer.ts'
import { text, transitKey } from '../policy/documents.ts'
import { ADMINS } from '../vault-setup/installation.ts'
import type { Model } from '../vault-setup/model.ts'
import { vaultModel } from '../vault-setup/model.ts'
import type { Files } from './manifests-world.ts'
import { filesOf } from './manifests-world.ts'
import { expectHarmless } from './world.ts'

export const TOKEN = 'hvs.canary-of-an-administrator'
export const POLICY = { 'policy/keys.yaml': text(transitKey(ADMINS)) }

export interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export interface VaultWorld extends AsyncDisposable {
  readonly model: Model
  readonly files: Files
  readonly url: string
  setup(args?: string, environment?: Readonly<Record<string, string>>): Promise<Ran>
  check(args?: string, environment?: Readonly<Record<string, string>>): Promise<Ran>
  stop(): Promise<void>
}

/** @param files by path; the policy lies in `policy/`, and `ROOT` in a flag is where they are. */
export async function startVaultWorld(files: Readonly<Record<string, string>> = POLICY): Promise<VaultWorld> {
  const model = vaultModel()
  const made = filesOf(files)
  const peer = await startPeer((reply, request) => void answer(model, reply, request))

  async function run(
    verb: typeof vaultSetup,
    args: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<Ran> {
    const printed = { stdout: '', stderr: '' }
    const to = (name: 'stdout' | 'stderr') => ({
      write(more: string) {
        printed[name] += more
      },
    })
    const flags = args.split(' ').filter((arg) => arg !== '')
    const exit = await verb(
      [`--policy=${made.path('policy')}`, ...flags.map((flag) => flag.replace('ROOT', made.directory))],
      {
        environment: { VAULT_ADDR: peer.url, VAULT_TOKEN: TOKEN, ...environment },
        stdout: to('stdout'),
        stderr: to('stderr'),
        clock: systemClock,
        random: () => 0,
        newId: () => '',
        signal: new AbortController().signal,
      },
    )
    expectHarmless(printed.stdout + printed.stderr)
    expect(printed.stdout + printed.stderr).not.toContain('canary')
    return { exit, ...printed }
  }

  return {
    model,
    files: made,
    url: peer.url,
    setup: (args = '', environment = {}) => run(vaultSetup, args, environment),
    check: (args = '', environment = {}) => run(vaultCheck, args, environment),
    stop: async () => await peer[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]()
      made[Symbol.dispose]()
    },
  }
}

/** As Vault answers: 404 without a text for what is not there, 204 for what has nothing to say. */
async function answer(model: Model, reply: ServerResponse, { method, path, headers, body }: Seen): Promise<void> {
  const send = (status: number, content?: object) => {
    reply.writeHead(status, { 'content-type': 'application/json' })
    reply.end(content === undefined ? undefined : JSON.stringify(content))
  }
  const signal = new AbortController().signal
  const [at = '', query] = path.replace('/v1/', '').split('?')
  try {
    if (headers['x-vault-token'] !== TOKEN) return send(403, { errors: ['permission denied'] })
    if (method === 'POST') {
      await model.write(at, JSON.parse(body), signal)
      return send(204)
    }
    const keys = query === 'list=true' ? await model.list(at, signal) : undefined
    const data = keys === undefined ? await model.read(at, signal) : keys.length === 0 ? undefined : { keys }
    return data === undefined ? send(404, { errors: [] }) : send(200, { data })
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    send(error.status ?? 500, { errors: [error.kind === 'sealed' ? 'Vault is sealed' : 'canary of a reason'] })
  }
}
