/** Setting Vault up, against the model: what a real Vault has to pass as well, and what only a model can be made to do. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import { readPolicy } from '../../src/vault-setup/read-policy.ts'
import { isSameRule } from '../../src/vault-setup/rules.ts'
import { about, installation } from './installation.ts'
import { vaultModel } from './model.ts'
import { scenarios } from './scenarios.ts'

describe('the model', () => {
  scenarios(vaultModel)
})

describe('what may not be looked at', () => {
  test.each([
    'read sys/mounts',
    'read sys/auth',
    'read sys/policies/acl/k-reads',
    'read auth/k/role/k-reads',
    'read auth/k/config',
    'read k/keys/k-key',
  ])("%s: stops, since it may be somebody else's", async (what) => {
    const model = vaultModel()
    const here = installation(model, 'k')
    await here.setUp()
    model.forbidden.push(new RegExp(`^${what}$`))
    const { stops } = await here.plan()
    expect(stops).toMatchObject([
      { kind: 'hidden', fix: expect.stringMatching(/^use one whose policies give "read" on /) },
    ])
  })
})

describe('a Vault that fails', () => {
  test('ends the look with why, and nothing more is asked', async () => {
    const model = vaultModel()
    model.failures.push({ at: /^read sys\/auth$/, error: new UpstreamError('vault', 'sealed', 503) })
    await expect(installation(model, 'k').plan()).rejects.toThrow('vault: sealed')
    expect(model.asked).toEqual(['read sys/mounts', 'read sys/auth'])
  })

  test('between two writes leaves those before it, and the same again goes on from there', async () => {
    const model = vaultModel()
    const here = installation(model, 'k')
    const total = (await here.plan()).writes.length
    for (let at = 0; at < total; at += 1) {
      model.failures.push({ at: /^write/, error: new UpstreamError('vault', 'unavailable', 500) })
      await expect(here.setUp()).rejects.toThrow('vault: unavailable')
      const { writes } = await here.plan()
      expect(writes).toHaveLength(total - at)
      const [next] = writes
      if (next !== undefined) await model.write(next.write.path, next.write.data, new AbortController().signal)
    }
    expect((await here.plan()).writes).toEqual([])
  })
})

const CAPABILITIES = ['create', 'read', 'update', 'delete', 'list', 'sudo', 'deny']
const rule = fc.record({
  path: fc.constantFrom('k/decrypt/k-key', 'k/decrypt/*', 'k/keys/k-key', 'k/rewrap/k-key', 'secret/x', '*'),
  capabilities: fc.uniqueArray(fc.constantFrom(...CAPABILITIES), { maxLength: 3 }),
})
const policyOf = (rules: readonly { path: string; capabilities: readonly string[] }[]) =>
  rules.map(({ path, capabilities }) => `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`).join('')

const role = fc.record(
  {
    audience: fc.constantFrom('', 'vault', 'other'),
    bound_service_account_names: fc.constantFrom(['keyhole'], ['*'], ['keyhole', 'x'], ['key*']),
    bound_service_account_namespaces: fc.constantFrom(['keyhole'], ['*'], ['keyhole', 'bi']),
    bound_service_account_namespace_selector: fc.constantFrom('', '{}'),
    token_policies: fc.constantFrom([], ['k-reads'], ['k-reads', 'default'], ['admin']),
    token_no_default_policy: fc.boolean(),
    token_type: fc.constantFrom('batch', 'service', 'default'),
    token_ttl: fc.constantFrom(0, 1, 5, 10, 11, 3600),
    token_period: fc.constantFrom(0, 60),
    token_num_uses: fc.constantFrom(0, 5),
  },
  { requiredKeys: ['bound_service_account_names', 'bound_service_account_namespaces'] },
)

describe('whatever is there before', () => {
  const before = fc.record({
    mount: fc.constantFrom(undefined, 'transit', 'kv'),
    key: fc.option(fc.record({ derived: fc.boolean(), exportable: fc.boolean(), deletion_allowed: fc.boolean() })),
    auth: fc.constantFrom(undefined, 'kubernetes', 'approle'),
    policy: fc.option(fc.array(rule, { maxLength: 3 })),
    owner: fc.constantFrom(
      '',
      'the keyhole in the namespace keyhole at auth/k',
      'the keyhole in the namespace b at auth/k',
    ),
    role: fc.option(role),
  })

  test('setting up ends where it should, or writes nothing; and gives nobody what is not asked for', async () => {
    let [through, stopped] = [0, 0]
    await fc.assert(
      fc.asyncProperty(before, async (given) => {
        const model = vaultModel()
        const here = installation(model, 'k')
        model.put('sys/policies/acl/theirs', { policy: policyOf([{ path: 'secret/theirs', capabilities: ['read'] }]) })
        if (given.mount !== undefined) model.put('sys/mounts/k', { type: given.mount })
        if (given.mount === 'transit' && given.key !== null) model.put(here.key, given.key)
        if (given.auth !== undefined) model.put('sys/auth/k', { type: given.auth })
        if (given.policy !== null) model.put(here.policy, { policy: `# Of ${given.owner}.\n${policyOf(given.policy)}` })
        if (given.auth === 'kubernetes' && given.role !== null) model.put(here.role, given.role)
        const state = model.state()

        const plan = await here.plan()
        if (plan.stops.length > 0) {
          stopped += 1
          return
        }
        through += 1
        const left = await here.setUp()
        expect([...left.stops, ...left.writes]).toEqual([])
        const after = model.state()
        // Nothing is gone, and what is not ours is as it was.
        expect(Object.keys(after)).toEqual(expect.arrayContaining(Object.keys(state)))
        expect(after['sys/policies/acl/theirs']).toEqual(state['sys/policies/acl/theirs'])
        for (const { name, rules, account } of here.wanted.roles) {
          const text = String(after[`sys/policies/acl/${name}`]?.['policy'])
          const there = readPolicy(text) ?? []
          expect(there).toHaveLength(rules.length)
          expect(rules.every((one) => there.some((other) => isSameRule(one, other)))).toBe(true)
          expect(after[`auth/k/role/${name}`]).toMatchObject({
            audience: 'vault',
            bound_service_account_names: [account.name],
            bound_service_account_namespaces: [account.namespace],
            bound_service_account_namespace_selector: '',
            token_policies: [name],
            token_no_default_policy: true,
            token_type: 'batch',
            token_period: 0,
            token_num_uses: 0,
          })
          expect(Number(after[`auth/k/role/${name}`]?.['token_ttl'])).toBeLessThanOrEqual(10)
        }
        expect(about(left, here.key)[0]?.kind === 'remaining').toBe(
          given.key?.exportable === true && given.mount === 'transit',
        )
      }),
      { numRuns: 500 },
    )
    expect([through > 20, stopped > 20]).toEqual([true, true])
  })
})
