/**
 * The node's network: one bridge, which pods hang on by CNI, and whose own address is where the API server, Vault and CoreDNS
 * listen. Nothing leaves the machine: there is no masquerading.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const BRIDGE = 'keyhole0'
export const HOST = '10.77.0.1'
export const POD_RANGE = '10.77.0.0/24'
export const SERVICE_RANGE = '10.78.0.0/24'
/** The first of the range: the `kubernetes` Service. */
export const API_SERVICE = '10.78.0.1'

/** Makes the bridge anew. */
export function openBridge(): void {
  closeBridge()
  ip('link', 'add', BRIDGE, 'type', 'bridge')
  ip('addr', 'add', `${HOST}/24`, 'dev', BRIDGE)
  ip('link', 'set', BRIDGE, 'up')
  // Without it an answer from one pod to another goes past the translation of the Service's address.
  writeFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', '1')
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
}

export function closeBridge(): void {
  try {
    ip('link', 'del', BRIDGE)
  } catch {
    // There is none.
  }
}

/** The directory of the CNI configuration. */
export function writeCni(directory: string): string {
  const cni = join(directory, 'cni')
  mkdirSync(cni, { recursive: true })
  const list = {
    cniVersion: '1.0.0',
    name: 'keyhole',
    plugins: [
      {
        type: 'bridge',
        bridge: BRIDGE,
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          dataDir: join(directory, 'addresses'),
          // The first ten are the host's.
          ranges: [[{ subnet: POD_RANGE, rangeStart: '10.77.0.10' }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ],
  }
  writeFileSync(join(cni, '10-keyhole.conflist'), JSON.stringify(list))
  return cni
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
