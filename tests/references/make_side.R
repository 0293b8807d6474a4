# Writes side.json: what mgcv says of te() beside lower smooths, on tables in data/.
# Run in this folder: Rscript make_side.R   (R 4.2.2; Debian's r-base-core, r-cran-mgcv, r-cran-jsonlite)
suppressMessages({library(mgcv); library(jsonlite)})
tight <- gam.control(epsilon = 1e-12, newton = list(conv.tol = 1e-11, maxNstep = 5, maxSstep = 2, maxHalf = 30, use.svd = FALSE))
entry <- function(formula, terms, data) {
  d <- na.omit(read.csv(file.path("data", paste0(data, ".csv"))))
  m <- gam(formula, data = d, method = "REML", control = tight)
  list(formula = paste(deparse(formula, width.cutoff = 300), collapse = ""), terms = terms, data = data, response = all.vars(formula)[1],
       score = unname(m$gcv.ubre), edf_terms = unname(summary(m)$edf), n_coefficients = length(coef(m)),
       sp = unname(m$sp), fitted = unname(fitted(m)[1:8]), se = unname(predict(m, se.fit = TRUE)$se.fit[1:8]))
}
out <- list(
  entry(Ozone ~ s(Temp, bs = "ps") + s(Wind, bs = "ps") + te(Temp, Wind, bs = "ps", k = 5, np = FALSE),
        "s(Temp) + s(Wind) + te(Temp, Wind, k=5)", "airquality"),
  entry(Ozone ~ s(Temp, bs = "cr") + te(Temp, Wind, bs = "cr", k = 5, np = FALSE),
        "s(Temp, bs='cr') + te(Temp, Wind, k=5, bs='cr')", "airquality"),
  entry(Ozone ~ s(Temp, bs = "cr", k = 5) + s(Wind, bs = "cr", k = 5) + te(Temp, Wind, bs = "cr", k = 5, np = FALSE),
        "s(Temp, bs='cr', k=5) + s(Wind, bs='cr', k=5) + te(Temp, Wind, k=5, bs='cr')", "airquality"))
versions <- list(R = R.version.string, mgcv = as.character(packageVersion("mgcv")))
write(toJSON(list(versions = versions, fits = out), digits = NA, auto_unbox = TRUE, pretty = TRUE), "side.json")
