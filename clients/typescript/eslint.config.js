import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** What a reader of the exported classes, interfaces and types sees in an editor. */
const documented = {
    meta: { type: "suggestion", schema: [] },
    create(context) {
        const check = (node, named = node) => {
            const comments = context.sourceCode.getCommentsBefore(node);
            if (!comments.some(({ type, value }) => type === "Block" && value.startsWith("*"))) {
                context.report({
                    node: named.id ?? named.key,
                    message: "Say in TSDoc what this is.",
                });
            }
        };
        const kinds = "/^(ClassDeclaration|TSInterfaceDeclaration|TSTypeAliasDeclaration)$/";
        return {
            [`ExportNamedDeclaration[declaration.type=${kinds}]`](node) {
                check(node, node.declaration);
            },
            "ExportNamedDeclaration > ClassDeclaration > ClassBody > MethodDefinition[kind=method]"(
                node,
            ) {
                if (node.key.type !== "PrivateIdentifier" && node.accessibility === undefined) {
                    check(node);
                }
            },
        };
    },
};

export default defineConfig(
    globalIgnores(["dist", ".conformance", "src/gen"]),
    js.configs.recommended,
    tseslint.configs.strictTypeChecked,
    tseslint.configs.stylisticTypeChecked,
    {
        languageOptions: { parserOptions: { projectService: true } },
        rules: {
            // Numbers and bigints read well in a message.
            "@typescript-eslint/restrict-template-expressions": [
                "error",
                { allowNumber: true, allowBoolean: true },
            ],
            // An empty string means the same as nothing in these contracts.
            "@typescript-eslint/prefer-nullish-coalescing": [
                "error",
                { ignorePrimitives: { string: true } },
            ],
            "max-lines": ["error", { max: 300, skipBlankLines: false }],
        },
    },
    { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
    {
        files: ["src/**"],
        plugins: { runstore: { rules: { documented } } },
        rules: { "runstore/documented": "error" },
    },
    {
        files: ["tests/**"],
        rules: {
            "max-lines": "off",
        },
    },
);
