/**
 * Raw HTTP requests with everything that matters of their answers, as kube-apiserver 1.36 and Vault 1.21 gave them.
 * Run against the stand-ins and against the real servers: whoever fails, a text moved or a stand-in lies.
 */
import type { Case } from './case.ts'
import { kubernetesPathCases } from './cases/kubernetes-paths.ts'
import { leaseCases } from './cases/leases.ts'
import { secretPatchCases } from './cases/secret-patch.ts'
import { secretCases } from './cases/secrets.ts'
import { selfReviewCases } from './cases/self-reviews.ts'
import { tokenRequestCases } from './cases/token-request.ts'
import { tokenReviewCases } from './cases/token-review.ts'
import { transitBatchCases } from './cases/transit-batch.ts'
import { transitDecryptCases } from './cases/transit-decrypt.ts'
import { transitEncryptCases } from './cases/transit-encrypt.ts'
import { transitKeyConfigCases } from './cases/transit-key-config.ts'
import { transitKeyCases } from './cases/transit-keys.ts'
import { transitRewrapCases } from './cases/transit-rewrap.ts'
import { transitVersionCases } from './cases/transit-versions.ts'
import { vaultLoginCases } from './cases/vault-login.ts'
import { vaultPathCases } from './cases/vault-paths.ts'

export type { Case, Expected, RawRequest } from './case.ts'

export const CASES: readonly Case[] = [
  ...tokenReviewCases,
  ...tokenRequestCases,
  ...secretCases,
  ...secretPatchCases,
  ...leaseCases,
  ...selfReviewCases,
  ...kubernetesPathCases,
  ...vaultLoginCases,
  ...transitDecryptCases,
  ...transitVersionCases,
  ...transitBatchCases,
  ...transitEncryptCases,
  ...transitRewrapCases,
  ...transitKeyCases,
  ...transitKeyConfigCases,
  ...vaultPathCases,
]
