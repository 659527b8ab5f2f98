/**
 * A fleet of Secrets on the real servers, the policy that has them read and rotated, keyholes that do either with what the
 * kubelet would mount for them, and the CronJob that asks.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RotateRequest, RotationReport } from '../../src/contract.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import type { Keyhole, StartOptions, Upstreams } from '../../src/testing/start-keyhole.ts'
import { startKeyholeOn } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import type { Named } from '../conformance/environment.ts'
import type { Fleet, FleetOptions } from './fleet.ts'
import { DATA_KEY, fleetOf, makeEstate } from './fleet.ts'
import type { RealOperator } from './operator.ts'
import { operatorOf } from './operator.ts'
import { ISSUER } from './processes.ts'
import type { Estate } from './rotation-set-up.ts'
import { giveRights } from './rotation-set-up.ts'
import { AUDIENCE, CRON, KEYHOLE, REALM, ROTATOR } from './set-up.ts'
import type { Connection } from './start.ts'

export interface RotationWorld extends AsyncDisposable {
  readonly operator: RealOperator
  readonly fleet: Fleet
  readonly policy: Readonly<Record<string, string>>
  /** What each is started with, as a process or here. */
  readonly rotator: Starting
  readonly reader: Starting
  startRotator(options?: StartOptions): Promise<Keyhole>
  startReader(): Promise<Keyhole>
  /** Of keyhole/keyhole-cron, as its pod has it. */
  readonly cronToken: string
  /** Of the workload that may read every Secret of the fleet. */
  readonly readerToken: string
}

export interface Starting {
  readonly upstreams: Upstreams
  readonly settings: Readonly<Record<string, string>>
}

export interface RotationOptions extends FleetOptions, Partial<RotationTerms> {}

/** As a TransitKey has them. */
export interface RotationTerms {
  readonly exclusive: boolean
  readonly grace: number
  readonly minInterval: string
}

export async function startRotationWorld(
  connection: Connection,
  estate: Estate,
  options: RotationOptions = {},
): Promise<RotationWorld> {
  const operator = operatorOf(connection)
  await makeEstate(operator, estate)
  await giveRights(operator, estate)
  const fleet = fleetOf(connection, estate, options)
  await fleet.seed()
  const policy = policyOf(estate, { exclusive: true, grace: 1, minInterval: '0s', ...options })
  const rotatorFiles = await mounted(connection, operator, ROTATOR)
  const readerFiles = await mounted(connection, operator, KEYHOLE)
  // Many of them are busy at once here, beside three servers: a slow machine is not what is tried.
  const common = { ...UNBOUNDED, KEYHOLE_REALM: REALM }
  const rotator = {
    upstreams: rotatorFiles.upstreams,
    settings: {
      ...common,
      // Well under a Lease: a renewal that is not answered is tried again while it holds.
      KEYHOLE_UPSTREAM_TIMEOUT_MS: '10000',
      KEYHOLE_SERVE: 'rotate',
      KEYHOLE_ROTATION_LEASE: `${ROTATOR.namespace}/${estate.lease}`,
    },
  }
  const reader = { upstreams: readerFiles.upstreams, settings: { ...common, KEYHOLE_SERVE: 'read' } }
  const start = ({ upstreams, settings }: Starting, more: StartOptions = {}) =>
    startKeyholeOn(upstreams, { policy, ...more, settings: { ...settings, ...more.settings } })
  return {
    operator,
    fleet,
    policy,
    rotator,
    reader,
    startRotator: (more) => start(rotator, more),
    startReader: () => start(reader),
    cronToken: await podToken(operator, CRON, AUDIENCE.keyhole),
    readerToken: await podToken(operator, readerOf(estate), AUDIENCE.keyhole),
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]()
      for (const { directory } of [rotatorFiles, readerFiles]) await rm(directory, { recursive: true, force: true })
    },
  }
}

function readerOf({ namespaces: [namespace = ''] }: Estate): Named {
  return { namespace, name: 'reader' }
}

/** The token of a pod of this ServiceAccount. */
export async function podToken({ kubernetes }: RealOperator, account: Named, audience: string): Promise<string> {
  await kubernetes.createServiceAccount(account)
  const pod = { namespace: account.namespace, name: `${account.name}-0` }
  const { uid } = await kubernetes.createPod({ ...pod, serviceAccount: account.name })
  const bound = { pod: { name: pod.name, uid }, audiences: [audience] }
  return kubernetes.issueToken({ namespace: account.namespace, serviceAccount: account.name, ...bound })
}

async function mounted(
  { caFile, kubernetes, vault }: Connection,
  operator: RealOperator,
  account: Named,
): Promise<{ readonly directory: string; readonly upstreams: Upstreams }> {
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-credentials-'))
  await publish(directory, {
    kubernetes: await podToken(operator, account, ISSUER),
    vault: await podToken(operator, account, AUDIENCE.vault),
  })
  const upstreams = {
    kubernetes: { url: kubernetes.origin, caFile, tokenFile: join(directory, 'kubernetes') },
    vault: { url: vault.origin, caFile, tokenFile: join(directory, 'vault') },
  }
  return { directory, upstreams }
}

/** The platform's document, and one of each namespace's team. */
export function policyOf(estate: Estate, terms: RotationTerms): Readonly<Record<string, string>> {
  const { key, namespaces, secrets, roles } = estate
  const reader = readerOf(estate)
  const apiVersion = 'keyhole.dev/v1alpha1'
  const transitKey = {
    apiVersion,
    kind: 'TransitKey',
    metadata: { name: key },
    spec: {
      namespaces,
      vaultRoles: roles,
      exclusive: terms.exclusive,
      rotation: {
        grace: terms.grace,
        minInterval: terms.minInterval,
        admins: [{ namespace: CRON.namespace, serviceAccount: CRON.name }],
      },
    },
  }
  const grants = (namespace: string) =>
    secrets.map((name) => ({
      apiVersion,
      kind: 'SecretGrant',
      metadata: { name, namespace },
      spec: {
        secretRef: { name, key: DATA_KEY },
        transitKey: key,
        readers: [{ namespace: reader.namespace, serviceAccount: reader.name, allKeys: true }],
      },
    }))
  // JSON is YAML.
  const text = (documents: readonly unknown[]) => documents.map((one) => JSON.stringify(one)).join('\n---\n')
  return {
    'platform.yaml': text([transitKey]),
    ...Object.fromEntries(namespaces.map((namespace) => [`${namespace}.yaml`, text(grants(namespace))])),
  }
}

export interface Answered {
  /** `200`, or status and code: `409 ROTATION_IN_PROGRESS`. */
  readonly answer: string
  readonly retryAfter: string | null
  readonly report: RotationReport | undefined
  readonly json: Readonly<Record<string, unknown>>
}

/** Asks a rotator, as the CronJob does. */
export async function rotate(
  { url }: Pick<Keyhole, 'url'>,
  { cronToken }: Pick<RotationWorld, 'cronToken'>,
  body: RotateRequest = {},
): Promise<Answered> {
  const headers = { authorization: `Bearer ${cronToken}`, 'content-type': 'application/json' }
  const reply = await fetch(`${url}/rotate`, { method: 'POST', headers, body: JSON.stringify(body) })
  const json = (await reply.json()) as Record<string, unknown>
  const answer = reply.ok ? String(reply.status) : `${reply.status} ${String(json['code'])}`
  const report = (json['type'] === 'report' ? json : json['report']) as RotationReport | undefined
  return { answer, retryAfter: reply.headers.get('retry-after'), report, json }
}
