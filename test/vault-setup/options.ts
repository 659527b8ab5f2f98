/** An installation that is called as keyhole calls it where nobody says otherwise. */
import type { WantedOptions } from '../../src/vault-setup/wanted.ts'

export const OPTIONS: WantedOptions = {
  identities: {
    reader: { namespace: 'keyhole', name: 'keyhole' },
    rotator: { namespace: 'keyhole', name: 'keyhole-rotate' },
  },
  roles: { read: 'keyhole', rotate: 'keyhole-rotate' },
  audience: 'vault',
  auth: { mount: 'kubernetes', type: 'kubernetes' },
}
