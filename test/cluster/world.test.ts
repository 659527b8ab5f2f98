/** On a cluster that is there already. */
import { describe, expect, test } from 'vitest'
import { foreignWorld } from './world.ts'

describe('a cluster that is there already', () => {
  test('is not used before all that is needed is told, at once', () => {
    expect(() => foreignWorld({ KUBECONFIG: '/tmp/kubeconfig', KEYHOLE_IMAGE: '' })).toThrow(
      /^to run on a cluster that is there already, set also\n {2}KEYHOLE_IMAGE: .*\n {2}VAULT_ADDR: .*\n {2}VAULT_CACERT: .*\n {2}VAULT_TOKEN: .*\n {2}VAULT_UNSEAL_KEY: /,
    )
  })
})
