import { defineProject } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineProject({
  test: {
    name: 'monitoring',
    include: ['**/*.test.ts'],
    globalSetup: ['./global-set-up.ts'],
    // No test is timed: this only ends one that hangs.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
})
