/** KEYHOLE_SERVE: what a process does not serve is not there, and asks for no right of its. */
import { describe, expect, it } from 'vitest'
import { ask, problem } from './ask.ts'
import { startRotationWorld } from './rotation-world.ts'

describe('KEYHOLE_SERVE=read', () => {
  it('has no /rotate, and looks at no Secret by itself', async () => {
    await using world = await startRotationWorld({ settings: { KEYHOLE_SERVE: 'read' } })
    for (const method of ['get', 'post', 'put'] as const) {
      const answer = await ask(world.keyhole.url, '/rotate', { method, token: world.tokenOf('rotator') })
      expect([answer.status, problem(answer).code]).toEqual([404, 'ROUTE_UNKNOWN'])
    }
    await world.keyhole.serving.wired.takeSurvey()
    expect(world.calls().filter((call) => !/decrypt|tokenreviews|selfsubjectreviews|sys\/health/.test(call))).toEqual(
      [],
    )
    await world.read('db')
  })

  it('takes no body at all', async () => {
    await using world = await startRotationWorld({ settings: { KEYHOLE_SERVE: 'read' } })
    const answer = await ask(world.keyhole.url, '/rotate', { method: 'post', body: {} })
    expect(problem(answer).code).toBe('ROUTE_UNKNOWN')
  })
})

describe('KEYHOLE_SERVE=rotate', () => {
  it('has no /secrets, rotates, and never asks Vault to decrypt, not even at its start', async () => {
    await using world = await startRotationWorld({ settings: { KEYHOLE_SERVE: 'rotate' } })
    for (const path of ['/secrets', '/secrets/db']) {
      const answer = await ask(world.keyhole.url, path, { token: world.tokenOf('api') })
      expect([answer.status, problem(answer).code]).toEqual([404, 'ROUTE_UNKNOWN'])
    }
    world.vault.putPolicy('keyhole-read', [{ path: 'transit/decrypt/payments', capabilities: ['deny'] }])
    await world.keyhole.serving.wired.checkKeys()
    expect((await world.rotate()).status).toBe(200)
    expect(world.vault.requests.count('POST', /decrypt/)).toBe(0)
  })
})

describe('KEYHOLE_SERVE=read,rotate', () => {
  it('keeps the two apart: neither role of Vault can do what the other does', async () => {
    await using world = await startRotationWorld()
    await world.read('db')
    await world.rotate()
    const used = new Map<string, Set<string>>()
    for (const { path, vaultToken } of world.vault.requests.entries()) {
      if (vaultToken === undefined) continue
      const role = /decrypt/.test(path) ? 'reads' : 'rotates'
      used.set(vaultToken, (used.get(vaultToken) ?? new Set()).add(role))
    }
    for (const roles of used.values()) expect(roles.size).toBe(1)
    expect(new Set([...used.values()].flatMap((roles) => [...roles]))).toEqual(new Set(['reads', 'rotates']))
  })
})
