// Nothing is sent to anybody but this shop: no validator, no query in the address
// that names another document. The token of an answer is carried along by the
// browser's cookies.
//
// What has servers of its own is not here, and this page may ask its own origin only:
// such an operation is shown without a form that could do nothing but fail.
const hereOnly = () => ({
  statePlugins: { spec: { wrapSelectors: {
    allowTryItOutFor: (original, system) => (state, path, method) =>
      !system.specSelectors.specJson().hasIn(["paths", path, "servers"]) && original(path, method),
  } } },
});

window.ui = SwaggerUIBundle({
  plugins: [hereOnly],
  dom_id: "#docs",
  url: "/openapi.yaml",
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  showCommonExtensions: true,
  showExtensions: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
