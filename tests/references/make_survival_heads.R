# Writes survival_heads.json: predictions of whole survival models, with standard errors.
# Run in this folder: Rscript make_survival_heads.R   (R 4.2.2; Debian's r-cran-survival,
# r-cran-mgcv, r-cran-jsonlite)
suppressMessages({library(survival); library(mgcv); library(jsonlite)})
v <- read.csv("data/veteran.csv")
v$w <- 1 + (seq_len(nrow(v)) %% 3)
v$half <- seq_len(nrow(v)) %/% 2
new <- data.frame(trt = c(1, 2), karno = c(50, 80), celltype = c("squamous", "large"))

# log T = loc + scale * W: the median with the standard error of its logarithm
aft <- lapply(c("weibull", "lognormal", "loglogistic"), function(dist) {
  fit <- survreg(Surv(time, status) ~ trt + karno, v, dist = dist, weights = w)
  q <- predict(fit, new, type = "uquantile", p = c(0.25, 0.5), se.fit = TRUE)
  list(dist = dist, coef = unname(coef(fit)), log_scale = log(fit$scale),
       var = unname(fit$var), loglik = fit$loglik[2],
       log_quantile = unname(q$fit), se = unname(q$se.fit))
})

# Cox: strata, weights, curves with limits, restricted means, sandwich of clusters
times <- c(10, 50, 100, 200)
at <- function(s) { k <- summary(s, times = times, extend = TRUE)
  list(surv = unname(k$surv), lower = unname(k$lower), upper = unname(k$upper)) }
cox <- coxph(Surv(time, status) ~ trt + karno + strata(celltype), v, weights = w,
             robust = FALSE)
curves <- lapply(1:2, function(i) {
  s <- survfit(cox, newdata = new[i, ], conf.type = "log-log")
  # its error of a restricted mean takes the coefficients as known: not compared
  c(at(s), list(rmean = unname(summary(s, rmean = 200)$table["rmean"])))
})
cluster <- coxph(Surv(time, status) ~ trt + karno, v, weights = w, cluster = half)

# A piecewise exponential model with a smooth baseline, on long rows
cuts <- c(10, 20, 30, 50, 80, 100, 120, 150, 200, 300, 600, 999)
long <- survSplit(Surv(time, status) ~ ., v, cut = cuts[-12], episode = "j")
long$end <- cuts[long$j]
fit <- gam(status ~ s(end, bs = "ps", k = 8) + trt + karno +
             offset(log(time - tstart)), data = long, family = poisson(), method = "REML",
           control = gam.control(epsilon = 1e-11, newton = list(conv.tol = 1e-9)))
width <- diff(c(0, cuts))
hazard <- lapply(1:2, function(i) {
  grid <- data.frame(end = cuts, trt = new$trt[i], karno = new$karno[i], time = 1, tstart = 0)
  x <- predict(fit, grid, type = "lpmatrix")
  h <- exp(drop(x %*% coef(fit))) * width
  g <- apply(x * h, 2, cumsum)
  list(hazard = cumsum(h), se = sqrt(rowSums((g %*% vcov(fit)) * g)))
})
write_json(list(
  versions = list(R = R.version.string, survival = as.character(packageVersion("survival")),
                  mgcv = as.character(packageVersion("mgcv"))),
  new = new, aft = aft,
  cox = list(times = times, coef = unname(coef(cox)), var = unname(cox$var), curves = curves),
  cluster = list(coef = unname(coef(cluster)), var = unname(cluster$var)),
  pamm = list(cuts = cuts, coef = unname(coef(fit)[c("trt", "karno")]),
              var = unname(vcov(fit)[c("trt", "karno"), c("trt", "karno")]),
              edf = sum(fit$edf), rows = hazard)),
  "survival_heads.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
