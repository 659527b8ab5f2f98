/** The administrator of both servers. */

import type { RealKubernetesOperator } from './kubernetes-operator.ts'
import { kubernetesOperator } from './kubernetes-operator.ts'
import type { Connection } from './start.ts'
import type { RealVaultOperator } from './vault-operator.ts'
import { vaultOperator } from './vault-operator.ts'

export interface RealOperator {
  readonly kubernetes: RealKubernetesOperator
  readonly vault: RealVaultOperator
}

export function operatorOf(connection: Connection): RealOperator {
  return { kubernetes: kubernetesOperator(connection), vault: vaultOperator(connection) }
}
