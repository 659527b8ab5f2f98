/** keyhole check on the real servers: a good installation has nothing to mend, and what is taken from it is what is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { check } from '../../src/cli/check.ts'
import { systemClock } from '../../src/clock.ts'
import { environmentFor } from '../../src/testing/keyhole-process.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import { createAuthority } from '../certificates.ts'
import { expectStatus } from './call.ts'
import type { Estate, RotationRight } from './rotation-set-up.ts'
import { applyLease, estateOf, giveRights } from './rotation-set-up.ts'
import type { RotationWorld, Starting } from './rotation-world.ts'
import { rotate, startRotationWorld } from './rotation-world.ts'
import { bindRole, ROTATOR } from './set-up.ts'
import { until } from './until.ts'

const ESTATE: Estate = estateOf('check', 1, 2)
const [NAMESPACE = ''] = ESTATE.namespaces
const { read: READ_ROLE, rotate: ROTATE_ROLE } = ESTATE.roles

let directory = ''
let world: RotationWorld
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-check-'))
  world = await startRotationWorld(inject('connection'), ESTATE)
  await applyLease(world.operator, ESTATE)
  await publish(join(directory, 'policy'), world.policy)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** What is said, of a rotator or a reader with these settings. */
async function said({ upstreams, settings }: Starting, more: Readonly<Record<string, string>> = {}) {
  let stdout = ''
  const output = {
    write(text: string) {
      stdout += text
    },
  }
  const exit = await check([], {
    environment: { ...environmentFor(upstreams, directory), ...settings, ...more },
    stdout: output,
    stderr: output,
    clock: systemClock,
    random: Math.random,
    newId: () => 'invocation-1',
    signal: new AbortController().signal,
  })
  expect(stdout).not.toMatch(/canary|hvb\.|hvs\.|vault:v\d+:|eyJ/)
  const lines = stdout.trimEnd().split('\n')
  return { exit, lines, unwell: lines.filter((line) => /^(?:wait|fix)/.test(line)) }
}

describe('a good installation', () => {
  test('of a rotator and of a reader has nothing to mend', async () => {
    for (const starting of [world.rotator, world.reader]) {
      const { exit, lines, unwell } = await said(starting)
      expect([exit, unwell, lines.filter((line) => line.startsWith('skip'))]).toEqual([0, [], []])
    }
    const { lines } = await said(world.rotator)
    expect(lines).toEqual(
      expect.arrayContaining([
        'ok    identity: keyhole/keyhole-rotator',
        `ok    secret-rights: may get, patch 2 Secrets`,
        `ok    secrets: 2 Secrets under transit/check, of versions v1`,
        expect.stringMatching(/^ok {4}vault: https:\S+ answers, version 1\.21\.0$/),
        `ok    vault-login: role ${ROTATE_ROLE}: batch token of 10 s, policies ${ROTATE_ROLE}`,
        `ok    vault-audience: role ${ROTATE_ROLE} takes tokens of its audience only`,
        'ok    transit-keys: transit/check may be rewrapped; versions 1 to 1 open',
        'ok    wide-vault-rights: the role that rotates transit/check may not decrypt with it',
      ]),
    )
  })

  test('is one after a rotation, too, of which the Lease tells', async () => {
    await using rotator = await world.startRotator()
    expect((await rotate(rotator, world)).answer).toBe('200')
    const { exit, lines } = await said(world.rotator)
    expect(exit).toBe(0)
    expect(lines).toContainEqual(
      expect.stringMatching(/^ok {4}other-rotators: transit\/check: version 2 was made on the Lease keyhole\/check$/),
    )
    expect((await said(world.reader)).exit).toBe(0)
  })
})

describe('an installation', () => {
  const LACKING: readonly (readonly [RotationRight, string | RegExp])[] = [
    ['reviewTokens', /^fix {3}review-right: may not create tokenreviews\. /],
    ['getSecrets', /^fix {3}secret-rights: may not get Secret check-0\/secret-0\. /],
    ['patchSecrets', /^fix {3}secret-rights: may not patch Secret check-0\/secret-0\. /],
    ['getLease', /^fix {3}lease-rights: may not get Lease keyhole\/check\. /],
    ['updateLease', /^fix {3}lease-rights: may not update Lease keyhole\/check\. /],
    ['createLease', /^fix {3}lease-rights: may not create Lease keyhole\/check\. /],
    ['rewrap', /^fix {3}transit-keys: transit\/check may be read about, and not rewrapped\. /],
    ['readKey', /^fix {3}transit-keys: transit\/check: vault-forbidden\. Give the Vault role that rotates/],
    ['vaultRole', /^fix {3}vault-login: role keyhole-rotate-check is not bound to keyhole\/keyhole-rotator\. /],
  ]
  test.each(LACKING)('that lacks the right %s is told so', async (right, line) => {
    await giveRights(world.operator, ESTATE, [right])
    try {
      const { exit, unwell } = await said(world.rotator)
      expect([exit, unwell[0]]).toEqual([3, expect.stringMatching(line)])
    } finally {
      await giveRights(world.operator, ESTATE)
    }
    expect((await said(world.rotator)).exit).toBe(0)
  })

  test('that may list Secrets is told so', async () => {
    const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }]
    await bindRole(world.operator.kubernetes, NAMESPACE, 'wide', ROTATOR, rules)
    const right = { verbs: ['list'], group: '', resource: 'secrets', namespace: NAMESPACE }
    await until('the right is there', () => world.operator.kubernetes.may(ROTATOR, right))
    const { unwell } = await said(world.rotator)
    expect(unwell).toEqual([
      expect.stringMatching(/^fix {3}wide-rights: may list any Secret in check-0: wider than keyhole needs\. /),
    ])
    await bindRole(world.operator.kubernetes, NAMESPACE, 'wide', ROTATOR, [])
  })
})

describe('a Vault role', () => {
  const change = async (role: object) => {
    const path = `/v1/auth/kubernetes/role/${READ_ROLE}`
    await expectStatus(world.operator.vault.call('POST', path, role))
  }

  test.each([
    [
      'without an audience',
      { audience: '' },
      new RegExp(`^fix {3}vault-audience: role ${READ_ROLE} takes tokens of any audience`),
    ],
    [
      'of another audience',
      { audience: 'elsewhere' },
      new RegExp(`^fix {3}vault-login: role ${READ_ROLE} asks for another audience than vault\\. `),
    ],
    [
      'with the default policy',
      { token_no_default_policy: false },
      new RegExp(`^fix {3}vault-login: role ${READ_ROLE} gives the policy default\\. `),
    ],
    [
      'of an hour',
      { token_ttl: 3600 },
      new RegExp(`^fix {3}vault-login: role ${READ_ROLE} gives tokens of 3600 s\\. `),
    ],
    [
      'bound to another namespace',
      { bound_service_account_namespaces: ['other'] },
      new RegExp(`^fix {3}vault-login: role ${READ_ROLE} is not bound to the namespace of keyhole/keyhole\\. `),
    ],
  ])('%s is told so', async (_what, role, line) => {
    await change(role)
    try {
      const { exit, unwell } = await said(world.reader)
      expect([exit, unwell]).toEqual([3, [expect.stringMatching(line)]])
    } finally {
      await giveRights(world.operator, ESTATE)
      await change({ token_no_default_policy: true })
    }
  })

  test('that is not there is told so', async () => {
    await world.operator.vault.deleteRole(READ_ROLE)
    const { exit, unwell } = await said(world.reader)
    expect([exit, unwell]).toEqual([
      3,
      [expect.stringMatching(`^fix   vault-login: there is no role ${READ_ROLE}\\. `)],
    ])
    await giveRights(world.operator, ESTATE)
  })
})

describe('a server', () => {
  test('whose CA is another is told so', async () => {
    const caFile = join(directory, 'stranger.crt')
    writeFileSync(caFile, createAuthority('a stranger').ca)
    const { exit, unwell } = await said(world.reader, { VAULT_CACERT: caFile, KEYHOLE_KUBERNETES_CACERT: caFile })
    const why = 'another CA than the one given signed its certificate'
    expect([exit, unwell]).toEqual([
      3,
      [
        expect.stringMatching(`^fix   kubernetes: the API server is not trusted: ${why}\\. `),
        expect.stringMatching(`^fix   vault: Vault is not trusted: ${why}\\. `),
      ],
    ])
  })

  test('that is sealed is waited for', async () => {
    await world.operator.vault.seal()
    try {
      const { exit, unwell } = await said(world.reader)
      expect([exit, unwell]).toEqual([2, [expect.stringMatching(/^wait {2}vault: https:\S+ is sealed\. Unseal it/)]])
    } finally {
      await world.operator.vault.unseal()
    }
  })
})
