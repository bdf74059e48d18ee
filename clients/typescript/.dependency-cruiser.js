/**
 * Imports point down: no circle of modules and none of folders, of types as little as of values.
 *
 * @type {import("dependency-cruiser").IConfiguration}
 */
export default {
    forbidden: [
        { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
        {
            name: "no-circle-of-folders",
            severity: "error",
            scope: "folder",
            from: {},
            to: { circular: true },
        },
    ],
    options: {
        // Imports of types are gone once TypeScript has compiled them.
        tsPreCompilationDeps: true,
        doNotFollow: { path: "node_modules" },
    },
};
