// Nothing is sent to anybody but this shop: no validator, no query in the address
// that names another document. The token of an answer is carried along by the
// browser's cookies.
window.ui = SwaggerUIBundle({
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
