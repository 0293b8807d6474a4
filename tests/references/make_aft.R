# Writes aft.json (accelerated failure time fits of R's survival) and data/interval.csv
# (simulated intervals, with left, right and no censoring).
# Run in this folder: Rscript make_aft.R   (R 4.2.2, survival 3.5.3, jsonlite)
suppressMessages({library(survival); library(jsonlite)})
table <- function(name) read.csv(file.path("data", paste0(name, ".csv")), stringsAsFactors = TRUE)
tight <- survreg.control(rel.tolerance = 1e-14, toler.chol = 1e-14, maxiter = 200)
kinds <- c("weibull", "exponential", "lognormal", "loglogistic")

set.seed(7)
n <- 150
x <- round(rnorm(n), 3)
life <- exp(1 + 0.5 * x + 0.6 * log(rexp(n)))
first <- runif(n, 0.2, 2); gap <- runif(n, 0.3, 1.5)
visit <- floor((life - first) / gap)
lower <- ifelse(life < first, NA, first + gap * visit)
upper <- ifelse(life < first, first, lower + gap)
end <- first + 5 * gap
upper[which(lower >= end)] <- NA
exact <- seq(3, n, by = 10); lower[exact] <- life[exact]; upper[exact] <- life[exact]
interval <- data.frame(x = x, lower = signif(lower, 6), upper = signif(upper, 6),
                       w = rep(c(1, 2, 0.5), length.out = n))
write.csv(interval, "data/interval.csv", row.names = FALSE, quote = FALSE)

lung <- table("lung")
lung <- lung[complete.cases(lung[, c("time", "status", "age", "sex", "ph.ecog")]), ]
veteran <- table("veteran"); gbsg2 <- table("gbsg2")
models <- list(
  lung = list(Surv(time, status) ~ age + sex + ph.ecog, lung),
  veteran = list(Surv(time, status) ~ trt + celltype + karno, veteran),
  gbsg2 = list(Surv(time, cens) ~ horTh + age + tsize + tgrade + pnodes, gbsg2),
  veteran_strata = list(Surv(time, status) ~ trt + karno + strata(celltype), veteran),
  interval = list(Surv(lower, upper, type = "interval2") ~ x, interval),
  interval_weights = list(Surv(lower, upper, type = "interval2") ~ x, interval))
fit <- function(name, kind) {
  m <- models[[name]]
  weights <- if (name == "interval_weights") m[[2]]$w else rep(1, nrow(m[[2]]))
  call <- list(m[[1]], data = m[[2]], dist = kind, control = tight, weights = weights)
  f <- do.call(survreg, call)
  at <- c(1, 5, 9)
  list(name = name, dist = kind, n = nrow(m[[2]]), terms = names(coef(f)), coef = unname(coef(f)),
       log_scale = unname(log(f$scale)), se = unname(sqrt(diag(vcov(f)))), loglik = f$loglik[2],
       quantile = unname(predict(f, type = "quantile", p = c(0.1, 0.5, 0.9))[at, ]))
}
fits <- list()
for (name in names(models)) for (kind in kinds)
  if (!(name == "veteran_strata" && kind == "exponential")) fits[[length(fits) + 1]] <- fit(name, kind)
write_json(list(versions = list(R = R.version.string, survival = as.character(packageVersion("survival"))),
                fits = fits), "aft.json", digits = 14, auto_unbox = TRUE, na = "null")
